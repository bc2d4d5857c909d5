"""Reading predictions back into arrays."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, MAX_AGE, Attribute
from face_analysis.datasets.predictions.files import (
    AGE_COUNT_COLUMN,
    PATH_COLUMN,
    probability_columns,
)
from face_analysis.datasets.predictions.rows import Row, prediction_rows
from face_analysis.errors import EmptyDataError, ListFormatError

FACE_COLUMN, SIZE_COLUMNS = "face", ("width", "height")
Faces = Literal["one", "largest"]


@dataclass(frozen=True)
class PredictionTable:
    """Predictions of N images, row i of each array being `images[i]`; images are distinct.

    `values` holds class codes (int64) for race and gender and expected years (float64) for age;
    `probabilities` (N, classes) is float64, 0 to 1, and empty for the original system's text; `age_count`
    (int64) is the original's decoding of age. `left_out` faces were smaller than the one kept of their photo.
    """

    path: Path
    images: list[str]
    values: dict[Attribute, NDArray[np.number]]
    probabilities: dict[Attribute, NDArray[np.float64]] = field(default_factory=dict)
    age_count: NDArray[np.int64] | None = None
    left_out: int = 0


def read_predictions(
    path: Path | str,
    faces: Faces = "one",
    attributes: Sequence[Attribute] = (),
    watch: Callable[[Iterator[Row]], Iterable[Row]] = iter,
) -> PredictionTable:
    """Read predictions, as `write_predictions` makes them, with columns in any order; others are ignored.

    Of several faces of a photo the "largest" box is kept; with "one" they are refused. `attributes` are as in
    `prediction_rows`; `watch` may look at the rows on their way. Raises as `prediction_rows`, EmptyDataError
    for a file without rows, and ListFormatError naming the line for a missing column, a number that cannot be
    read or is out of range, a photo with several faces, or a face twice.
    """
    path = Path(path)
    rows = iter(watch(prediction_rows(path, attributes)))
    line, header = next(rows, (1, []))
    if not header and path.stat().st_size:
        raise EmptyDataError(f"{path} holds no prediction")
    found = _Rows(path, line, [str(name) for name in header], faces)
    for line, cells in rows:
        found.add(line, cells)
    if not found.images:
        raise EmptyDataError(f"{path} holds no prediction")
    matrix = np.frombuffer(found.numbers, dtype=np.float64).reshape(len(found.images), len(found.columns))
    table = dict(zip(found.columns, matrix.T, strict=True))
    for column, values in table.items():
        _check_range(path, column, values, found.lines)
    return replace(_table(path, found.images, table), left_out=found.left_out)


class _Rows:
    """The numbers of one face of each photo, as rows come."""

    def __init__(self, path: Path, line: int, header: list[str], faces: Faces) -> None:
        self.path, self.faces = path, faces
        self.columns = _columns(path, line, header)
        self._path = header.index(PATH_COLUMN)
        self._places = [header.index(column) for column in self.columns]
        self._box = [header.index(name) for name in SIZE_COLUMNS if name in header]
        self._face = header.index(FACE_COLUMN) if FACE_COLUMN in header else -1
        self.images: list[str] = []
        self.lines, self.numbers, self._areas = array("q"), array("d"), array("d")
        self._row: dict[str, int] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self.left_out = 0

    def add(self, line: int, cells: Sequence[Any]) -> None:
        image = str(cells[self._path])
        numbers = [self._number(line, cells, place) for place in self._places]
        row = self._row.setdefault(image, len(self.images))
        if row == len(self.images):
            self.images.append(image)
            self.lines.append(line)
            self.numbers.extend(numbers)
            self._areas.append(self._area(line, cells))
            self._note(line, image, cells)
            return
        self._refuse(line, image, row)
        self._note(line, image, cells)
        area = self._area(line, cells)
        self.left_out += 1
        if area > self._areas[row]:
            self._areas[row], self.lines[row] = area, line
            self.numbers[row * len(numbers) : (row + 1) * len(numbers)] = array("d", numbers)

    def _note(self, line: int, image: str, cells: Sequence[Any]) -> None:
        """Refuse one face twice: the file then holds its rows twice."""
        if self.faces == "largest" and self._face >= 0:
            face = str(cells[self._face])
            if (first := self._seen.setdefault((image, face), line)) != line:
                reason = f"face {face} of {image} is here a second time; first in line {first}"
                raise ListFormatError(self.path, line, reason)

    def _refuse(self, line: int, image: str, row: int) -> None:
        again = f"{image} is here a second time; first in line {self.lines[row]}"
        if not self._box:
            reason = f"{again}. The file does not tell the size of faces: predict with --faces largest"
            raise ListFormatError(self.path, line, reason)
        if self.faces == "one":
            reason = (
                f"{again}. It has several faces: give --faces largest to evaluate the largest of each photo, "
                "or predict with --faces largest"
            )
            raise ListFormatError(self.path, line, reason)

    def _area(self, line: int, cells: Sequence[Any]) -> float:
        """Of the face's box in square pixels; 0 where the photo was taken whole."""
        if self.faces == "one" or len(self._box) < len(SIZE_COLUMNS):
            return 0.0
        if any(cells[place] in ("", None) for place in self._box):
            return 0.0
        width, height = (self._number(line, cells, place) for place in self._box)
        return width * height

    def _number(self, line: int, cells: Sequence[Any], place: int) -> float:
        try:
            return float(cells[place])
        except (TypeError, ValueError) as error:
            shown = "nothing" if cells[place] in ("", None) else f"`{str(cells[place])[:40]}`"
            raise ListFormatError(self.path, line, f"expected a number, found {shown}") from error


def _columns(path: Path, line: int, header: list[str]) -> tuple[str, ...]:
    """The columns of numbers that are read: those that belong to each attribute, all of them."""
    text = path.suffix == ".txt" and set(header) <= {PATH_COLUMN, *ATTRIBUTES}
    columns = [name for name in ATTRIBUTES if name in header] if text else _needed(header)
    lacking = [column for column in (PATH_COLUMN, *columns) if column not in header]
    if not columns:
        lacking.append(f"all of {', '.join(ATTRIBUTES)}")
    if lacking:
        labels = set(header) <= {PATH_COLUMN, *ATTRIBUTES, "class", "subject"} and PATH_COLUMN in header
        kind = " (this looks like a list of labels)" if labels and columns else ""
        raise ListFormatError(
            path, line, f"the header lacks {', '.join(lacking)}; expected what predict wrote{kind}"
        )
    return tuple(columns)


def _needed(header: Sequence[str]) -> list[str]:
    columns: list[str] = []
    for name in ATTRIBUTES:
        if name in header:
            columns += [name, *((AGE_COUNT_COLUMN,) if name == "age" else probability_columns(name))]
    return columns


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
            if name != "age" and probability_columns(name)[0] in table:
                probabilities[name] = np.stack(
                    [table[column] for column in probability_columns(name)], axis=1
                )
    count = table.get(AGE_COUNT_COLUMN)
    return PredictionTable(
        path, images, values, probabilities, None if count is None else count.astype(np.int64)
    )
