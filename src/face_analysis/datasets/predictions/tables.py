"""Reading the CSV of predictions back into arrays."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, MAX_AGE, Attribute
from face_analysis.datasets.predictions.files import (
    AGE_COUNT_COLUMN,
    PATH_COLUMN,
    probability_columns,
)
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError, UsageError


@dataclass(frozen=True)
class PredictionTable:
    """Predictions of N images, row i of each array being `images[i]`; images are distinct.

    `values` holds class codes (int64) for race and gender and expected years (float64) for age;
    `probabilities` (N, classes) is float64, 0 to 1; `age_count` (int64) is the original's decoding of age.
    """

    path: Path
    images: list[str]
    values: dict[Attribute, NDArray[np.number]]
    probabilities: dict[Attribute, NDArray[np.float64]] = field(default_factory=dict)
    age_count: NDArray[np.int64] | None = None


def read_predictions(path: Path | str) -> PredictionTable:
    """Read a CSV of predictions, as `write_predictions` makes it, with columns in any order; what it does not
    need is ignored.

    Raises MissingFileError, EmptyDataError for a file without rows, and ListFormatError naming the line for a
    missing column, a row cut short, a number that cannot be read or is out of range, or an image twice.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            columns, images, lines, numbers = _parse(path, file)
    except FileNotFoundError as error:
        raise MissingFileError(path, "predictions") from error
    except OSError as error:
        raise UsageError(f"cannot read predictions {path}: {error.strerror}") from error
    if not images:
        raise EmptyDataError(f"{path} holds no prediction")
    matrix = np.frombuffer(numbers, dtype=np.float64).reshape(len(images), len(columns))
    table = dict(zip(columns, matrix.T, strict=True))
    for column, values in table.items():
        _check_range(path, column, values, lines)
    return _table(path, images, table)


def _parse(path: Path, file: IO[str]) -> tuple[tuple[str, ...], list[str], array[int], array[float]]:
    reader = csv.reader(file, strict=True)
    images: list[str] = []
    lines, numbers, first_line = array("q"), array("d"), dict[str, int]()
    try:
        header = next(reader, [])
        columns = _columns(path, header)
        place, *places = (header.index(column) for column in columns)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ListFormatError(
                    path, reader.line_num, f"{len(row)} fields; the header has {len(header)}"
                )
            image = row[place]
            if first_line.setdefault(image, reader.line_num) != reader.line_num:
                reason = f"{image} is here a second time; first in line {first_line[image]}"
                raise ListFormatError(path, reader.line_num, reason)
            numbers.extend([float(row[index]) for index in places])
            images.append(image)
            lines.append(reader.line_num)
    except (ValueError, csv.Error) as error:
        raise ListFormatError(path, reader.line_num, str(error)) from error
    return columns[1:], images, lines, numbers


def _columns(path: Path, header: list[str]) -> tuple[str, ...]:
    columns = _needed(header)
    lacking = [column for column in columns if column not in header]
    if len(columns) == 1:
        lacking.append(f"all of {', '.join(ATTRIBUTES)}")
    if lacking:
        raise ListFormatError(
            path, 1, f"the header lacks {', '.join(lacking)}; expected a CSV that predict wrote"
        )
    return columns


def _needed(header: Sequence[str]) -> tuple[str, ...]:
    columns = [PATH_COLUMN]
    for name in ATTRIBUTES:
        if name in header:
            columns += [name, *((AGE_COUNT_COLUMN,) if name == "age" else probability_columns(name))]
    return tuple(columns)


def _check_range(path: Path, column: str, values: NDArray[np.float64], lines: array[int]) -> None:
    whole, top = True, np.inf
    if column in CLASS_NAMES:
        top = len(CLASS_NAMES[column]) - 1
    elif column == AGE_COUNT_COLUMN:
        top = MAX_AGE
    else:
        whole, top = False, np.inf if column == "age" else 1
    good = np.isfinite(values) & (values >= 0) & (values <= top)
    if whole:
        good &= values == np.floor(values)
    if not good.all():
        row = int(np.argmin(good))
        raise ListFormatError(path, lines[row], f"{column} is {values[row]:g}, outside its range")


def _table(path: Path, images: list[str], table: dict[str, NDArray[np.float64]]) -> PredictionTable:
    values: dict[Attribute, NDArray[np.number]] = {}
    probabilities: dict[Attribute, NDArray[np.float64]] = {}
    for name in ATTRIBUTES:
        if name in table:
            values[name] = table[name].copy() if name == "age" else table[name].astype(np.int64)
            if name != "age":
                probabilities[name] = np.stack(
                    [table[column] for column in probability_columns(name)], axis=1
                )
    count = table.get(AGE_COUNT_COLUMN)
    return PredictionTable(
        path, images, values, probabilities, None if count is None else count.astype(np.int64)
    )
