"""`face-analysis completion`: a script by which a shell completes commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from face_analysis.cli.commands import COMMANDS, OPTIONS, actions_of, options_of
from face_analysis.cli.option_table import Option, option_table
from face_analysis.cli.parser import parse
from face_analysis.errors import MissingPackageError
from face_analysis.options import Opt


@dataclass(frozen=True)
class CompletionOptions:
    """Which shell completes."""

    shell: Annotated[Literal["bash", "zsh", "tcsh"], Opt("the shell", positional=True)]


def main(arguments: Sequence[str]) -> int:
    """Exit status 0; the script goes to stdout."""
    options = parse("completion", CompletionOptions, arguments)
    try:
        import shtab
    except ImportError:
        raise MissingPackageError("completion", "shtab", "completion") from None
    print(shtab.complete(_program(shtab.FILE), shell=options.shell))
    return 0


def _program(files: Mapping[str, Any]) -> argparse.ArgumentParser:
    """Every command and option as argparse describes them; `files` is how a shell completes a path."""
    program = argparse.ArgumentParser("face-analysis")
    program.add_argument("--version", action="store_true", help="print the version")
    commands = program.add_subparsers()
    for command, text in COMMANDS.items():
        parser = commands.add_parser(command, help=text)
        if command in OPTIONS:
            _add_options(parser, command, files)
        elif actions := actions_of(command):
            below = parser.add_subparsers()
            for word, name in actions.items():
                _add_options(below.add_parser(word, help=word), name, files)
    return program


def _add_options(parser: argparse.ArgumentParser, command: str, files: Mapping[str, Any]) -> None:
    for option in option_table(options_of(command)).values():
        action = parser.add_argument(*(option.flags or (option.name,)), **_settings(option))
        if option.kind is Path:
            action.complete = files  # type: ignore[attr-defined]


def _settings(option: Option) -> dict[str, Any]:
    settings: dict[str, Any] = {"help": option.opt.help.replace("%", "%%")}
    if option.switch:
        return settings | {"action": "store_true"}
    if option.many:
        settings["nargs"] = "*"
    return settings | ({"choices": option.choices} if option.choices else {})
