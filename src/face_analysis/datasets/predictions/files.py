"""Files of predictions, a row a face: CSV, JSON Lines, Parquet, and the original system's text."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal

from face_analysis.bulk import Record
from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, Attribute
from face_analysis.datasets.parquet import pyarrow_for
from face_analysis.errors import UsageError, WriteError
from face_analysis.files import whole_file
from face_analysis.json_files import json_text
from face_analysis.types import ClassEstimate, Face

PredictionLayout = Literal["csv", "jsonl", "parquet", "original"]
SUFFIXES: dict[PredictionLayout, str] = {
    "csv": ".csv",
    "jsonl": ".jsonl",
    "parquet": ".parquet",
    "original": ".txt",
}

PATH_COLUMN = "path"
AGE_COUNT_COLUMN = "age_count"
INTERVAL_COLUMNS = ("age_low", "age_high")
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
WHERE_COLUMNS = (
    "face",
    *("x", "y", "width", "height", "score"),
    *(f"{point}_{axis}" for point in POINTS for axis in "xy"),
)
"""The face's number in its photo from 0, its box, the detector's score, and the landmarks, in pixels; left
and right are those of the picture."""
ROWS_AT_ONCE = 4096


def probability_columns(attribute: Attribute) -> tuple[str, ...]:
    """The columns of the class probabilities of race or gender, in the order of the label codes."""
    return tuple(f"{attribute}_{name}" for name in CLASS_NAMES[attribute])


@dataclass(frozen=True)
class PredictionColumns:
    """Which columns a file of predictions has: those of its attributes, and as far as there are any, where
    each face was (`located`) and the interval of its age (`intervals`)."""

    attributes: tuple[Attribute, ...]
    located: bool = False
    intervals: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """`path`, then place, race, gender and age as far as present.

        Race and gender have the code of the likeliest class, its name, then a probability a class; age has
        the expected age in years (`age`), its interval, and the original's decoding (`age_count`).
        """
        columns = [PATH_COLUMN, *(WHERE_COLUMNS if self.located else ())]
        for attribute in ATTRIBUTES:
            if attribute not in self.attributes:
                continue
            if attribute == "age":
                columns += ["age", *(INTERVAL_COLUMNS if self.intervals else ()), AGE_COUNT_COLUMN]
            else:
                columns += [attribute, f"{attribute}_label", *probability_columns(attribute)]
        return tuple(columns)

    def record(self, face: Face, number: int = 0) -> dict[str, Any]:
        """The values of one face by column, rounded: pixels and years to 2 decimals, the rest to 6.

        What is not a finite number is None. `number` is the face's in its photo. Raises UsageError for a face
        that lacks an attribute.
        """
        values: dict[str, Any] = {PATH_COLUMN: face.path}
        if self.located:
            values |= _place(face, number)
        for attribute in self.attributes:
            estimate = getattr(face, attribute)
            if estimate is None:
                raise UsageError(
                    f"the prediction for {face.path} has no {attribute}, which this file was opened for"
                )
            values |= _class(attribute, estimate) if attribute != "age" else self._age(estimate)
        return {name: _known(values[name]) for name in self.names}

    def _age(self, age: Any) -> dict[str, Any]:
        values = {"age": round(age.years, 2), AGE_COUNT_COLUMN: age.count}
        if self.intervals:
            values |= {"age_low": age.low, "age_high": age.high}
        return values


def write_predictions(
    path: Path, columns: PredictionColumns, records: Iterable[Record], layout: PredictionLayout = "csv"
) -> int:
    """Write records as one whole file; returns how many there were.

    "original" is the old `path [race] [gender] [age]`, without a header; its age is the count decoding, as a
    float. What has no value (the box of a photo taken whole) is an empty cell or null. Raises WriteError
    where the disk refuses, UsageError for a path that no line of text can hold, and MissingPackageError.
    """
    with whole_file(path) as partial:
        if layout == "parquet":
            return _write_parquet(partial, columns, records)
        try:
            with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
                return _put(file, prediction_lines(columns, records, layout)) - (layout == "csv")
        except OSError as error:
            raise WriteError(path, error) from error


def prediction_lines(
    columns: PredictionColumns, records: Iterable[Record], layout: PredictionLayout
) -> Iterator[str]:
    """The lines of a file of predictions, each with its end, as records come; CSV begins with its header.

    Raises UsageError for Parquet, which has no lines.
    """
    lines = {"csv": _csv_lines, "jsonl": _json_lines, "original": _text_lines}
    if layout not in lines:
        raise UsageError(f"--format {layout} cannot be printed: give --dest")
    return lines[layout](columns, records)


def _put(file: IO[str], lines: Iterable[str]) -> int:
    written = 0
    for line in lines:
        file.write(line)
        written += 1
    return written


def _csv_lines(columns: PredictionColumns, records: Iterable[Record]) -> Iterator[str]:
    made: list[str] = []
    keep = _Keep(made)
    plain = csv.writer(keep, lineterminator="\n")
    # A carriage return ends a row when read; csv.writer before Python 3.13 leaves it without quotes.
    quoted = csv.writer(keep, lineterminator="\n", quoting=csv.QUOTE_ALL)
    rows = ([_text(record[name], name) for name in columns.names] for record in records)
    for row in chain([columns.names], rows):
        (quoted if "\r" in row[0] else plain).writerow(row)
        yield made.pop()


class _Keep:
    """A file for csv.writer that keeps the line."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append


def _text(value: Any, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if _two_decimals(column) else f"{value:.6f}"
    return str(value)


def _json_lines(columns: PredictionColumns, records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        line = json_text({name: record[name] for name in columns.names}, ensure_ascii=False)
        try:
            line.encode()
        except UnicodeEncodeError:  # bytes of a name that are no UTF-8, and so no JSON: escaped
            line = json_text({name: record[name] for name in columns.names})
        yield f"{line}\n"


def _text_lines(columns: PredictionColumns, records: Iterable[Record]) -> Iterator[str]:
    names = [name for name in ATTRIBUTES if name in columns.attributes]
    for record in records:
        path = record[PATH_COLUMN]
        if "\n" in path or "\r" in path:
            raise UsageError(f"the text format cannot hold the line break in {path!r}; write CSV instead")
        codes = (float(record[AGE_COUNT_COLUMN]) if name == "age" else record[name] for name in names)
        yield " ".join([path, *map(str, codes)]) + "\n"


def _write_parquet(path: Path, columns: PredictionColumns, records: Iterable[Record]) -> int:
    pa, pq = pyarrow_for("--format parquet")
    kinds = {str: pa.string(), int: pa.int32(), float: pa.float64()}
    schema = pa.schema([(name, kinds[_kind(name)]) for name in columns.names])
    count, coming = 0, iter(records)
    with pq.ParquetWriter(path, schema) as writer:
        while rows := list(islice(coming, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist([_clean(row) for row in rows], schema))
            count += len(rows)
    return count


def _clean(record: Record) -> dict[str, Any]:
    """Parquet holds UTF-8 alone: bytes of a name that are none become the replacement character."""
    path = record[PATH_COLUMN].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return {**record, PATH_COLUMN: path}


def _kind(column: str) -> type:
    if column == PATH_COLUMN or column.endswith("_label"):
        return str
    return int if column in ("face", "race", "gender", *INTERVAL_COLUMNS, AGE_COUNT_COLUMN) else float


def _two_decimals(column: str) -> bool:
    return column == "age" or (column in WHERE_COLUMNS and column != "score")


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _place(face: Face, number: int) -> dict[str, Any]:
    found = face.detection
    if found is None:
        return {**dict.fromkeys(WHERE_COLUMNS), "face": number}
    pixels: Sequence[float] = (*found.box, *found.landmarks.flatten().tolist())
    names = [name for name in WHERE_COLUMNS if name not in ("face", "score")]
    rounded = dict(zip(names, (round(value, 2) for value in pixels), strict=True))
    return {"face": number, "score": round(found.score, 6), **rounded}


def _class(attribute: Attribute, estimate: ClassEstimate) -> dict[str, Any]:
    probabilities = (round(value, 6) for value in estimate.probabilities.tolist())
    return {
        attribute: estimate.code,
        f"{attribute}_label": estimate.label,
        **dict(zip(probability_columns(attribute), probabilities, strict=True)),
    }
