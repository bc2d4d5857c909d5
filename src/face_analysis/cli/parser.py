"""From the words after a command's name, and configuration files, to the dataclass of its options.

`parse` tells the way: words are sorted by option (`words.py`), joined with what the files give, checked and
converted (`Given`). `wrong_words.py` says what is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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
BESIDE_WORDS: Mapping[Any, tuple[type, ...]] = {int: (int,), float: (int, float), Path: (Path,)}
"""What the types of options are made from beside words; a file of YAML has numbers of its own."""


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
    values = {name: given.converted(table[name], value) for name, value in given.values().items()}
    parsed = options(
        **{name: value for name, value in values.items() if name != CONFIG and value is not None}
    )
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

    def converted(self, option: Option, value: Any) -> Any:
        """The value as the option's type; of an option with many values a tuple. Raises UsageError."""
        if option.many:
            return tuple(self._of_kind(option, item) for item in value)
        return None if value is None and option.default is None else self._of_kind(option, value)

    def _of_kind(self, option: Option, value: Any) -> Any:
        """A word, or what a file has in its place, as a number, a path, text or one of the choices."""
        kind = option.kind
        try:
            if option.switch or value in option.choices:
                return value
            if (
                option.choices
                or isinstance(value, bool)
                or not isinstance(value, (str, *BESIDE_WORDS.get(kind, ())))
            ):
                raise ValueError
            return kind(value)
        except ValueError:
            raise self.wrong.value(option, str(value), self._file(option.name)) from None

    def shown(self, name: str, value: object) -> str:
        """An option with its value, as it stands in its file or on the command line."""
        return as_given(self.table[name], value, self._file(name))

    def _file(self, name: str) -> str | None:
        """The file that gives an option which the words do not."""
        return None if name in self.words.values or name not in self.files else self.files[name][0]


def _parser(command: str, table: Mapping[str, Option]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program(command),
        usage=usage(command, table),
        description=COMMANDS.get(command, ""),
        formatter_class=argparse.HelpFormatter,
    )
    needed = parser.add_argument_group("needed")
    for option in table.values():
        group = needed if option.required and not option.opt.positional else parser
        group.add_argument(*(option.flags or (option.name,)), **_settings(option))
    return parser


def _settings(option: Option) -> dict[str, Any]:
    """What argparse needs to show the option in the help."""
    settings: dict[str, Any] = {"help": _help(option)}
    if option.switch:
        return settings | {"action": "store_true"}
    settings["metavar"] = option.metavar
    if not option.opt.positional:
        settings["required"] = option.required
    if option.many:
        settings["nargs"] = "*" if option.opt.positional else "+"
    elif option.opt.positional and not option.required:
        settings["nargs"] = "?"
    return settings


def _help(option: Option) -> str:
    """The text with range and default."""
    text = option.opt.help.replace("%", "%%")
    default = option.default if isinstance(option.default, tuple) else (option.default,)
    shown = " ".join(str(value) for value in default if value not in (None, MISSING, False, ""))
    notes = [str(option.within), f"default: {shown}" if shown and "default" not in text else ""]
    told = "; ".join(note for note in notes if note)
    return f"{text} ({told})" if told else text
