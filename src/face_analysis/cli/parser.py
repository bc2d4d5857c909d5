"""From an options dataclass to a command-line parser, and back to the dataclass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

from face_analysis.options import Opt

T = TypeVar("T")


def parse(command: str, options: type[T], arguments: Sequence[str]) -> T:
    """Parse the words after the command's name; wrong ones end the program with a message and status 2."""
    parser = ArgumentParser(prog=f"face-analysis {command}")
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    _add_options(parser, options)
    namespace = parser.parse_args(list(arguments))
    values = {item.name: getattr(namespace, item.name) for item in fields(options)}  # type: ignore[arg-type]
    given = {name: value for name, value in values.items() if value is not None}
    return options(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def _add_options(parser: ArgumentParser, options: type) -> None:
    hints = get_type_hints(options, include_extras=True)
    for item in fields(options):
        kind, opt = get_args(hints[item.name])
        assert isinstance(opt, Opt)
        settings: dict[str, Any] = {"help": opt.help}
        if opt.positional:
            settings |= {} if item.default is MISSING else {"nargs": "?"}
        elif item.default is MISSING:
            settings["required"] = True
        else:
            settings["default"] = list(item.default) if isinstance(item.default, tuple) else item.default
        if kind is bool:
            settings["action"] = "store_true"
        elif get_origin(kind) is tuple:
            settings |= {"type": get_args(kind)[0], "nargs": "*" if opt.positional else "+"}
        else:
            settings["type"] = kind
        names = [item.name] if opt.positional else [f"--{item.name}", *opt.flags]
        parser.add_argument(*names, **settings)
