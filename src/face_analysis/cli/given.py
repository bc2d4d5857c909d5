"""Whether what was given to a command suffices, and is in range; errors of values in the user's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_analysis.cli.option_table import Option
from face_analysis.cli.words import Words
from face_analysis.cli.wrong_words import WrongWords
from face_analysis.errors import UsageError

VALUE_ERROR = re.compile(r'Parser key "(\w+)".*(?:Got|Given) value: (.*)', re.DOTALL)


@dataclass(frozen=True)
class Given:
    """What the words and the files give; `files` has the file and the value of each option in them."""

    table: Mapping[str, Option]
    words: Words
    files: Mapping[str, tuple[str, Any]]
    wrong: WrongWords

    def check_complete(self) -> None:
        """Raises UsageError for needed options that are absent, and for empty paths (unset variables)."""
        values = self._values()
        lacking = [
            option for option in self.table.values() if option.required and not values.get(option.name)
        ]
        if lacking:
            greedy = [name for name, given in self.words.values.items() if len(given) > 1]
            loose = any(option.opt.positional for option in lacking)
            raise self.wrong.missing(lacking, greedy[-1] if greedy and loose else None)
        for name, given in values.items():
            if self.table[name].kind is Path and "" in given:
                raise UsageError(f"`{self.table[name].shown}` is empty: {self.table[name].opt.help}")

    def _values(self) -> dict[str, list[Any]]:
        """Every option that has a value, with its values."""
        found: dict[str, list[Any]] = {
            name: value if isinstance(value, list) else [value] for name, (_, value) in self.files.items()
        }
        loose = list(self.words.loose)
        for option in (option for option in self.table.values() if option.opt.positional):
            taken = loose if option.many else loose[:1]
            loose = loose[len(taken) :]
            if taken:
                found[option.name] = taken
        return found | self.words.values

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
                if option.kind in (int, float) and value is not None and not option.limits.allow(value):
                    raise self.wrong.out_of_range(option, value, self._file(name))

    def _file(self, name: str) -> str | None:
        """The file that gives an option which the words do not."""
        return None if name in self.words.values or name not in self.files else self.files[name][0]
