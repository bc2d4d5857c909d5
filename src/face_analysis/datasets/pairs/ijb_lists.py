"""The text lists of IJB, some of millions of lines, as arrays."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError

WHOLE = r"[0-9]{1,9}"
NAME = "[!-~]+"
NUMBER = "[-+.0-9eE]{1,40}"


@dataclass(frozen=True)
class SpacedList:
    """A list without a header, its columns apart by spaces; `form` tells people of them, `pattern` `re`."""

    path: Path
    form: str
    pattern: str

    def columns(self, kind: type, *wanted: int) -> NDArray[Any]:
        """Columns of one kind (rows, wanted), read without a Python object a line.

        Raises MissingFileError, EmptyDataError, and ListFormatError with the line.
        """
        if not self.path.is_file():
            raise MissingFileError(self.path, f"list `{self.form}`")
        try:
            with warnings.catch_warnings(action="ignore"):  # that a file is empty
                table: NDArray[Any] = np.loadtxt(
                    self.path, kind, comments=None, usecols=wanted, encoding="ascii", ndmin=2
                )
        except ValueError as error:
            raise self._first_bad_line(str(error)) from error
        if not len(table):
            raise EmptyDataError(f"{self.path}: the list `{self.form}` is empty; get it again")
        return table

    def require(self, holds: NDArray[np.bool_], reason: Callable[[int], str]) -> None:
        """Raise ListFormatError for the first row (from 0) where it does not hold, with its `reason`."""
        if holds.all():
            return
        row = int(np.argmin(holds))
        with self.path.open("rb") as file:
            lines = (number for number, line in enumerate(file, 1) if line.strip())
            raise ListFormatError(self.path, next(islice(lines, row, None)), reason(row))

    def _first_bad_line(self, otherwise: str) -> ListFormatError:
        pattern = re.compile(self.pattern.replace(" ", r"\s+").encode())
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and not pattern.fullmatch(line.strip()):
                    shown = line[:80].decode(errors="replace").strip()
                    return ListFormatError(self.path, number, f"expected `{self.form}`, found `{shown}`")
        return ListFormatError(self.path, 1, otherwise)
