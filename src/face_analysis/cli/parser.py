"""From the words after a command's name, and configuration files, to the dataclass of its options.

`parse` tells the way: words are sorted by option (`words.py`), joined with what the files give, checked
(`Given`), and converted by jsonargparse. `wrong_words.py` says what is wrong.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from jsonargparse import ArgumentParser

from face_analysis.cli.commands import COMMANDS, program
from face_analysis.cli.option_table import CONFIG, Option, option_table
from face_analysis.cli.words import Words, read_configs, sort_words
from face_analysis.cli.wrong_words import WrongWords, as_given, usage
from face_analysis.errors import UsageError
from face_analysis.inputs import check_input
from face_analysis.options import check_ranges

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
VALUE_ERROR = re.compile(r'Parser key "(\w+)".*(?:Got|Given) value: (.*)', re.DOTALL)


def parse(command: str, options: type[T], arguments: Sequence[str]) -> T:
    """The options that the words after a command's name say. Raises UsageError for words that are wrong.

    An option on the command line wins over the same one in a file of `--config`; `null` takes one back that
    has no default.
    """
    table = option_table(options)
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
    known = {name: value for name, value in values.items() if value is not None}
    parsed = options(**{name: tuple(v) if isinstance(v, list) else v for name, v in known.items()})
    check_ranges(parsed, given.shown)
    return parsed


@dataclass(frozen=True)
class Given:
    """What the words and the files give; `files` has the file and the value of each option in them."""

    table: Mapping[str, Option]
    words: Words
    files: Mapping[str, tuple[str, Any]]
    wrong: WrongWords

    def values(self) -> dict[str, Any]:
        """Every option that has a value, as it was written; words count more than files.

        Raises UsageError for needed options that are absent, and for values of another shape.
        """
        found = self._lists()
        lacking = [option for option in self.table.values() if option.required and not found.get(option.name)]
        if lacking:
            greedy = [name for name, given in self.words.values.items() if len(given) > 1]
            loose = any(option.opt.positional for option in lacking)
            raise self.wrong.missing(lacking, greedy[-1] if greedy and loose else None)
        return {name: self._shaped(self.table[name], given) for name, given in found.items()}

    def _lists(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {
            name: value if isinstance(value, list) else [value] for name, (_, value) in self.files.items()
        }
        loose = list(self.words.loose)
        for option in (option for option in self.table.values() if option.opt.positional):
            taken = loose if option.many else loose[:1]
            loose = loose[len(taken) :]
            if taken:
                found[option.name] = taken
        unset = {name for name, words in self.words.values.items() if self._unset(self.table[name], words)}
        return {name: given for name, given in (found | self.words.values).items() if name not in unset}

    def _unset(self, option: Option, words: list[str]) -> bool:
        """Whether the word `null` takes an option back that a file gives."""
        return words == ["null"] and option.default is None and bool(option.flags)

    def _shaped(self, option: Option, given: list[Any]) -> Any:
        """The list, or the one value of an option that takes one; `true` and `false` of a switch."""
        if option.kind is Path and "" in given:  # as of an unset variable
            raise UsageError(f"`{option.shown}` is empty: {option.opt.help}")
        if option.kind is Path:
            for path in given:
                check_input(Path(path))
        if option.many:
            return given
        value = {"true": True, "false": False}.get(given[0], given[0]) if option.switch else given[0]
        if len(given) > 1 or (option.switch and not isinstance(value, bool)):
            raise self.wrong.value(option, ", ".join(map(str, given)), self._file(option.name))
        return value

    def translated(self, message: str) -> UsageError:
        """The error for what jsonargparse says of a value."""
        match = VALUE_ERROR.search(message)
        if match is None or match[1] not in self.table:
            return UsageError(message)
        name, value = match.groups()
        return self.wrong.value(self.table[name], value, self._file(name))

    def shown(self, name: str, value: object) -> str:
        """An option with its value, as it stands in its file or on the command line."""
        return as_given(self.table[name], value, self._file(name))

    def _file(self, name: str) -> str | None:
        """The file that gives an option which the words do not."""
        return None if name in self.words.values or name not in self.files else self.files[name][0]


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
    notes = [str(option.within), f"default: {shown}" if shown and "default" not in text else ""]
    told = "; ".join(note for note in notes if note)
    return f"{text} ({told})" if told else text
