"""Whether what was given to a command suffices, and is in range; errors of values in the user's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_analysis.cli.limits import NONE
from face_analysis.cli.option_table import Option
from face_analysis.cli.words import Words
from face_analysis.cli.wrong_words import WrongWords
from face_analysis.errors import UsageError
from face_analysis.inputs import check_input

VALUE_ERROR = re.compile(r'Parser key "(\w+)".*(?:Got|Given) value: (.*)', re.DOTALL)


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

    def check_ranges(self, values: Mapping[str, Any]) -> None:
        """Raises UsageError for a number outside its range."""
        for name, given in values.items():
            option = self.table[name]
            for value in given if isinstance(given, list) else [given]:
                if value is not None and option.limits != NONE and not option.limits.allow(value):
                    raise self.wrong.out_of_range(option, value, self._file(name))

    def _file(self, name: str) -> str | None:
        """The file that gives an option which the words do not."""
        return None if name in self.words.values or name not in self.files else self.files[name][0]
