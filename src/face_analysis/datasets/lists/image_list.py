"""Image lists: which images there are, and their labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import UNKNOWN
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError

Labels = NDArray[np.int64]
CSV_LABELS = ("race", "gender", "age", "class")
CSV_STRINGS = ("subject",)
LARGEST_LABEL = 2**31 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z", re.ASCII)


@dataclass(frozen=True)
class ImageList:
    """The rows of an image list, in its order.

    `images` holds the paths as written; `labels` maps each column found (race, gender, age, class) to int64
    (N,) with -1 for unknown; `strings` maps text columns (subject) to N strings.
    """

    path: Path
    images: list[str]
    labels: dict[str, Labels] = field(default_factory=dict)
    strings: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)


def read_image_list(path: Path) -> ImageList:
    """Read a text list (`image race gender age`, `image class` or `image`) or a CSV list with a header.

    The first line decides the form of a text list: three or more integers at its end mean race, gender and
    age; one or two mean that the last is the class. Raises MissingFileError, ListFormatError with the line,
    and EmptyDataError.
    """
    lines = read_lines(path, "image list")
    if path.suffix.lower() == ".csv" or lines[0].startswith("path,"):
        return _read_csv(path, lines)
    return _read_text(path, lines)


def codes_of(names: Sequence[str]) -> NDArray[np.int64]:
    """A number from 0 for each distinct name, in the order of their first rows, and -1 for \"\"."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) if name else -1 for name in names], np.int64)


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a UTF-8 text, without empty ones at its end; `what` is what errors call it.

    Raises MissingFileError, ListFormatError for other bytes, and EmptyDataError where no line is left.
    """
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise MissingFileError(path, what) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ListFormatError(
            path, line, "expected UTF-8 text, found other bytes; save it as UTF-8"
        ) from error
    lines = text.replace("\r\n", "\n").rstrip("\n \t").split("\n")
    if not lines[0].strip() and len(lines) == 1:
        raise EmptyDataError(f"{path}: the {what} is empty; give another")
    return lines


def _read_text(path: Path, lines: Sequence[str]) -> ImageList:
    columns = _text_columns(lines[0])
    form = " ".join(("image", *columns))
    images: list[str] = []
    values: list[list[int]] = []
    for number, line in enumerate(lines, 1):
        name, *labels = line.rsplit(" ", len(columns)) if columns else (line,)
        if len(labels) != len(columns) or not name.strip() or not all(map(_INTEGER.match, labels)):
            raise ListFormatError(path, number, f"expected `{form}`, found {_shown(line)}; correct the line")
        images.append(name)
        values.append([_label(path, number, text) for text in labels])
    table = np.array(values, np.int64).reshape(len(images), len(columns))
    return ImageList(path, images, {name: table[:, i].copy() for i, name in enumerate(columns)})


def _text_columns(first: str) -> tuple[str, ...]:
    integers = 0
    for text in reversed(first.split(" ")[1:]):
        if not _INTEGER.match(text):
            break
        integers += 1
    if integers >= 3:
        return ("race", "gender", "age")
    return ("class",) if integers else ()


def _read_csv(path: Path, lines: Sequence[str]) -> ImageList:
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    images: list[str] = []
    header: list[str] = []
    labels: dict[str, list[int]] = {}
    strings: dict[str, list[str]] = {}
    try:
        for cells in reader:
            if not header:
                header = _csv_header(path, cells)
                labels = {name: [] for name in CSV_LABELS if name in header}
                strings = {name: [] for name in CSV_STRINGS if name in header}
                continue
            row = _csv_row(path, reader.line_num, header, cells)
            images.append(row["path"])
            for name in labels:
                labels[name].append(_csv_label(path, reader.line_num, name, row[name]))
            for name in strings:
                strings[name].append(row[name])
    except csv.Error as error:
        raise ListFormatError(path, reader.line_num, f"broken CSV ({error}); correct the quotes") from error
    if not images:
        raise EmptyDataError(f"{path}: the list has a header and no rows; write one image a line")
    return ImageList(path, images, {k: np.array(v, np.int64) for k, v in labels.items()}, strings)


def _csv_header(path: Path, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    columns = ("path", *CSV_LABELS, *CSV_STRINGS)
    unknown = [name for name in header if name not in columns]
    if unknown:
        reason = f"unknown column `{unknown[0]}`; the known ones are {', '.join(columns)}"
        raise ListFormatError(path, 1, reason)
    if "path" not in header:
        raise ListFormatError(path, 1, f"expected a column `path`, found {', '.join(header)}; add it")
    if len(set(header)) != len(header):
        raise ListFormatError(path, 1, "a column is named twice; name each once")
    return header


def _csv_row(path: Path, line: int, header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        reason = (
            f"expected {len(header)} cells ({','.join(header)}), found {len(cells)}; quote paths with commas"
        )
        raise ListFormatError(path, line, reason)
    row = dict(zip(header, cells, strict=True))
    if not row["path"].strip():
        raise ListFormatError(path, line, "expected a path, found an empty cell; fill it or remove the line")
    return row


def _csv_label(path: Path, line: int, column: str, text: str) -> int:
    text = text.strip()
    if not text:
        return UNKNOWN
    if not _INTEGER.match(text):
        reason = f"expected an integer or nothing for `{column}`, found {_shown(text)}; correct the cell"
        raise ListFormatError(path, line, reason)
    return _label(path, line, text)


def _label(path: Path, line: int, text: str) -> int:
    value = int(text)
    if abs(value) > LARGEST_LABEL:
        raise ListFormatError(path, line, f"label {text} is beyond the largest, {LARGEST_LABEL}; correct it")
    return value


def _shown(text: str) -> str:
    return f"`{text if len(text) <= 120 else text[:117] + '...'}`"
