"""Image lists: which images there are, and their labels."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import UNKNOWN
from face_analysis.datasets.lists.text_files import csv_reader, read_text, split_lines
from face_analysis.datasets.lists.texts import Texts
from face_analysis.errors import EmptyDataError, ListFormatError

Labels = NDArray[np.int64]
CSV_LABELS = ("race", "gender", "age", "class")
CSV_STRINGS = ("subject",)
LARGEST_LABEL = 2**31 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z", re.ASCII)
_WHOLE_FLOAT = re.compile(r"(?<=[0-9])\.0*\Z")
"""What tables of numbers with gaps are written with: 24.0 for 24."""
_HEADER = re.compile('"?path"?[ ]*[,;\t]')
_BARE_CSV = re.compile(r"[,;] *[+-]?[0-9]+\Z")


@dataclass(frozen=True)
class ImageList:
    """The rows of an image list, in its order.

    `images` holds the paths as written; `labels` maps each column found (race, gender, age, class) to int64
    (N,) with -1 for unknown; `strings` maps text columns (subject) to N strings. Paths and strings are kept
    as Texts, whatever sequences are given.
    """

    path: Path
    images: Sequence[str]
    labels: dict[str, Labels] = field(default_factory=dict)
    strings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {name: _texts(column) for name, column in self.strings.items()}
        vars(self).update(images=_texts(self.images), strings=kept)

    def __len__(self) -> int:
        return len(self.images)


def read_image_list(path: Path) -> ImageList:
    """Read a text list (`image race gender age`, `image class` or `image`) or a CSV list with a header.

    The first line decides the form of a text list: three or more integers at its end mean race, gender and
    age; one or two mean that the last is the class. Spaces or tabs, any number of them, separate them, and
    what is left of them is the path. A list is CSV by its suffix (.csv, .tsv) or by a header that begins
    with `path`. Raises MissingFileError, ListFormatError with the line, EmptyDataError, and UsageError for
    a folder or a file of another kind.
    """
    text = read_text(path, "image list")
    if path.suffix.lower() in (".csv", ".tsv") or _HEADER.match(text):
        return _read_csv(path, text)
    return _read_text(path, text)


def _texts(given: Sequence[str]) -> Texts:
    return given if isinstance(given, Texts) else Texts(given)


def codes_of(names: Sequence[str]) -> NDArray[np.int64]:
    """A number from 0 for each distinct name, in the order of their first rows, and -1 for \"\"."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) if name else -1 for name in names], np.int64)


def _read_text(path: Path, text: str) -> ImageList:
    columns = _text_columns(path, *next(split_lines(text)))
    form = " ".join(("image", *columns))
    pattern = re.compile(r"(.*[^ \t])" + r"[ \t]+([^ \t]+)" * len(columns), re.DOTALL)
    images, values = Texts(), array("q")
    for number, line in split_lines(text):
        cells = pattern.fullmatch(line) if columns else None
        name, *labels = cells.groups() if cells else (line,)
        if len(labels) != len(columns) or not all(map(_INTEGER.match, labels)):
            raise ListFormatError(path, number, f"expected `{form}`, found {_shown(line)}; correct the line")
        images.append(name)
        values.extend(_label(path, number, text) for text in labels)
    table = np.array(values, np.int64).reshape(len(images), len(columns))
    return ImageList(path, images, {name: table[:, i].copy() for i, name in enumerate(columns)})


def _text_columns(path: Path, number: int, first: str) -> tuple[str, ...]:
    integers = 0
    for text in reversed(first.replace("\t", " ").split(" ")[1:]):
        if text and not _INTEGER.match(text):
            break
        integers += bool(text)
    if first.split() and set(first.split()) <= {"path", *CSV_LABELS, *CSV_STRINGS}:
        raise ListFormatError(path, number, "a text list has no header; remove it, or write a CSV list")
    if integers >= 3:
        return ("race", "gender", "age")
    if not integers and _BARE_CSV.search(first):
        raise ListFormatError(
            path, number, "a CSV list needs a header: write path,race,gender,age or path,class above"
        )
    return ("class",) if integers else ()


def _read_csv(path: Path, text: str) -> ImageList:
    reader = csv_reader(text)
    images = Texts()
    header: list[str] = []
    labels: dict[str, array[int]] = {}
    strings: dict[str, Texts] = {}
    try:
        for cells in reader:
            if not "".join(cells).strip() and len(cells) < 2:
                continue
            if not header:
                header = _csv_header(path, cells)
                labels = {name: array("q") for name in CSV_LABELS if name in header}
                strings = {name: Texts() for name in CSV_STRINGS if name in header}
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
    header = [cell.strip().lower() for cell in cells]
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
        reason = f"expected {len(header)} cells ({','.join(header)}), found {len(cells)}; quote delimiters"
        raise ListFormatError(path, line, reason)
    row = dict(zip(header, cells, strict=True))
    if not row["path"].strip():
        raise ListFormatError(path, line, "expected a path, found an empty cell; fill it or remove the line")
    return row


def _csv_label(path: Path, line: int, column: str, text: str) -> int:
    text = text.strip()
    if not text:
        return UNKNOWN
    text = _WHOLE_FLOAT.sub("", text)
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
