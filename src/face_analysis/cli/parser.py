"""From the words after a command's name, and configuration files, to the dataclass of its options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from jsonargparse import ArgumentParser

from face_analysis.cli.commands import COMMANDS, program
from face_analysis.cli.configs import read_configs
from face_analysis.cli.given import Given
from face_analysis.cli.option_table import CONFIG, Option, option_table
from face_analysis.cli.words import sort_words
from face_analysis.cli.wrong_words import WrongWords, usage

T = TypeVar("T")


def parse(command: str, options: type[T], arguments: Sequence[str]) -> T:
    """The options that the words after a command's name say. Raises UsageError for words that are wrong.

    An option on the command line wins over the same one in a file of `--config`; `null` takes one back that
    has no default.
    """
    table = option_table(command, options)  # type: ignore[arg-type]  # classes are hashable
    wrong = WrongWords(command, table)
    if any(word in ("-h", "--help") for word in arguments):
        _parser(command, table).print_help()
        sys.exit(0)
    words = sort_words(table, arguments, wrong)
    given = Given(table, words, read_configs(words.configs, table, wrong), wrong)
    try:
        namespace = _parser(command, table).parse_object(given.values())
    except _ParseError as error:
        raise given.translated(str(error)) from error
    values = {name: getattr(namespace, name) for name in table if name != CONFIG}
    given.check_ranges(values)
    known = {name: value for name, value in values.items() if value is not None}
    return options(**{name: tuple(v) if isinstance(v, list) else v for name, v in known.items()})


class _ParseError(Exception):
    """What jsonargparse says about a value."""


class _Parser(ArgumentParser):
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise _ParseError(message) from ex


def _parser(command: str, table: Mapping[str, Option]) -> ArgumentParser:
    parser = _Parser(
        prog=program(command),
        usage=usage(command, table),
        description=COMMANDS.get(command, ""),
        formatter_class=argparse.HelpFormatter,
        print_config=None,
    )
    needed = parser.add_argument_group("needed")
    for option in table.values():
        group = needed if option.required and not option.opt.positional else parser
        group.add_argument(*(option.flags or (option.name,)), **_settings(option))
    return parser


def _settings(option: Option) -> dict[str, Any]:
    settings: dict[str, Any] = {"help": _help(option)}
    if option.default is not MISSING and not (option.opt.positional and option.default is None):
        many = isinstance(option.default, tuple)
        settings["default"] = list(option.default) if many else option.default
    elif not option.opt.positional:
        settings["required"] = True
    if option.switch:
        return settings | {"action": "store_true"}
    plain = TEXTS.get(option.kind, option.kind if option.many else option.hint)
    settings |= {"metavar": option.metavar, "type": plain}
    if option.many:
        settings["nargs"] = "*" if option.opt.positional else "+"
    elif option.opt.positional and not option.required:
        settings["nargs"] = "?"
    return settings


def _text(value: object) -> str | None:
    """A word as it is; jsonargparse would read it as YAML, where `null` is none and not all names can be."""
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"Got value: {value}")


def _path(value: object) -> Path | None:
    """The path that a word names."""
    if isinstance(value, Path):
        return value
    text = _text(value)
    return None if text is None else Path(text)


TEXTS = {str: _text, Path: _path}


def _help(option: Option) -> str:
    """The text with range and default."""
    text = option.opt.help.replace("%", "%%")
    default = option.default if isinstance(option.default, tuple) else (option.default,)
    shown = " ".join(str(value) for value in default if value not in (None, MISSING, False, ""))
    notes = [str(option.limits), f"default: {shown}" if shown and "default" not in text else ""]
    told = "; ".join(note for note in notes if note)
    return f"{text} ({told})" if told else text
