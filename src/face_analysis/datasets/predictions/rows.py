"""The rows of a file of predictions, whichever of the forms of `predict` it has."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute
from face_analysis.datasets.kinds import HEAD, PARQUET, UNKNOWN, kind_of_head
from face_analysis.datasets.parquet import pyarrow_for
from face_analysis.datasets.predictions.files import PATH_COLUMN, ROWS_AT_ONCE
from face_analysis.errors import ListFormatError, MissingFileError, UsageError
from face_analysis.inputs import check_input

Row = tuple[int, Sequence[Any]]
"""The line of a row, from 1 (of Parquet, the row), and its cells."""
FOREIGN = (
    ({"row", "path", "subject"}, "the index of a feature set"),
    ({"path", "reason"}, "a list of photos that could not be used"),
    ({"probe", "rank", "score"}, "the candidates of a search"),
)
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?\Z", re.ASCII)


def prediction_rows(path: Path, attributes: Sequence[Attribute] = ()) -> Iterator[Row]:
    """The header, then the rows of a CSV, JSON Lines or Parquet file, or of the original system's text.

    The content decides, and `.txt` means the original's text, `path [race] [gender] [age]`; `attributes` say
    which of them it has, where that is not clear (an age has a decimal point). Raises MissingFileError,
    UsageError for a file of another kind or without the package that reads it, and ListFormatError with the
    line.
    """
    if not path.exists():
        raise MissingFileError(path, "predictions")
    if path.is_dir():
        raise UsageError(f"{path}: a folder; give the file in it that `predict` wrote")
    check_input(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        kind = kind_of_head(head)
        if kind != PARQUET and (b"\0" in head or (kind and not head.isascii())):
            raise UsageError(
                f"{path}: {kind or UNKNOWN}, not predictions; give the file that `predict` wrote"
            )
        if kind == PARQUET:
            yield from _parquet_rows(path)
        elif head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"{", b"[")):
            yield from _json_rows(path)
        elif path.suffix == ".txt":
            yield from _text_rows(path, attributes)
        else:
            yield from _csv_rows(path)
    except OSError as error:
        raise UsageError(f"cannot read predictions {path}: {error.strerror}") from error


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            for columns, words in FOREIGN:
                if columns <= set(header):
                    raise ListFormatError(path, 1, f"this is {words}; give the file that `predict` wrote")
            yield 1, header
            for row in reader:
                if row and len(row) != len(header):
                    reason = f"{len(row)} fields; the header has {len(header)}"
                    raise ListFormatError(path, reader.line_num, reason)
                if row:
                    yield reader.line_num, row
        except csv.Error as error:
            raise ListFormatError(path, reader.line_num, str(error)) from error


def _json_rows(path: Path) -> Iterator[Row]:
    header: list[str] = []
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise TypeError("not an object")
            except (ValueError, TypeError) as error:
                reason = f"expected JSON Lines, an object a line, as predict writes them ({error})"
                raise ListFormatError(path, number, reason) from error
            if not header:
                header = list(record)
                yield number, header
            if record.keys() != set(header):
                different = ", ".join(sorted(record.keys() ^ set(header)))
                raise ListFormatError(path, number, f"other names than in the first line: {different}")
            yield number, [record[name] for name in header]


def _parquet_rows(path: Path) -> Iterator[Row]:
    pa, pq = pyarrow_for(f"{path}: Parquet")
    try:
        file = pq.ParquetFile(path)
        yield 0, file.schema_arrow.names
        number = 0
        for batch in file.iter_batches(ROWS_AT_ONCE):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield number, row
    except pa.ArrowException as error:
        raise UsageError(f"{path}: a damaged Parquet file ({error}); predict again") from error


def _text_rows(path: Path, attributes: Sequence[Attribute]) -> Iterator[Row]:
    count = 0
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            words = line.rstrip("\r\n")
            if not words.strip():
                continue
            if not count:
                names = _text_columns(path, words, attributes)
                count = len(names)
                yield number, [PATH_COLUMN, *names]
            cells = words.rsplit(" ", count)
            if len(cells) != count + 1 or not all(map(NUMBER.match, cells[1:])):
                reason = f"expected a path and {count} numbers, as predict writes them; found {words[:120]}"
                raise ListFormatError(path, number, reason)
            yield number, cells


def _text_columns(path: Path, first: str, attributes: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Which attributes a line of the original's text has, in the order of ATTRIBUTES."""
    numbers: list[str] = []
    for word in reversed(first.split(" ")[1:]):
        if not NUMBER.match(word) or len(numbers) == len(ATTRIBUTES):
            break
        numbers.insert(0, word)
    if attributes:
        named = tuple(name for name in ATTRIBUTES if name in attributes)
        if len(named) > len(numbers):
            raise ListFormatError(path, 1, f"{len(numbers)} numbers, and --attributes names {len(named)}")
        return named
    age = bool(numbers) and "." in numbers[-1]
    if len(numbers) == len(ATTRIBUTES):
        return ATTRIBUTES
    if len(numbers) == 2 and not age:
        return "race", "gender"
    if len(numbers) == 1 and age:
        return ("age",)
    if numbers:
        raise ListFormatError(
            path, 1, f"race or gender? Name what the {len(numbers)} numbers are: --attributes race age"
        )
    raise ListFormatError(path, 1, "no number at the end of the line; expected what predict writes")
