"""Files of predictions, a row an image: CSV with a header, and the original system's text format to write."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

import numpy as np

from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, Attribute
from face_analysis.errors import UsageError, WriteError
from face_analysis.files import whole_file
from face_analysis.types import Prediction

Layout = Literal["csv", "original"]
PATH_COLUMN = "path"
AGE_COUNT_COLUMN = "age_count"


def probability_columns(attribute: Attribute) -> tuple[str, ...]:
    """The columns of the class probabilities of race or gender, in the order of the label codes."""
    return tuple(f"{attribute}_{name}" for name in CLASS_NAMES[attribute])


def prediction_columns(attributes: Iterable[Attribute]) -> tuple[str, ...]:
    """The CSV columns for the attributes predicted: `path`, then race, gender and age as far as present.

    Race and gender have the predicted class code, then a probability a class; age has the expected age in
    years (`age`) and the original's decoding (`age_count`).
    """
    chosen, columns = set(attributes), [PATH_COLUMN]
    for attribute in ATTRIBUTES:
        if attribute in chosen:
            extra = (AGE_COUNT_COLUMN,) if attribute == "age" else probability_columns(attribute)
            columns += [attribute, *extra]
    return tuple(columns)


class PredictionWriter:
    """Writes predictions as they come, and gives the file its name only when the `with` block ends well.

    `layout` "csv" has the columns of `prediction_columns`: probabilities with 6 decimals, `age` with 2.
    "original" is the old `path [race] [gender] [age]`, its age the count decoding, without a header. Lines
    end in a line feed. Until then rows lie in a hidden file beside `path`; if the block fails that is removed
    and a file already at `path` stays. Raises WriteError where the disk refuses.
    """

    def __init__(self, path: Path | str, attributes: Iterable[Attribute], layout: Layout = "csv") -> None:
        chosen = set(attributes)
        self.path = Path(path)
        self.attributes = tuple(name for name in ATTRIBUTES if name in chosen)
        self.layout = layout
        self.count = 0
        self._file: IO[str] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            partial = stack.enter_context(whole_file(self.path))
            self._file = stack.enter_context(
                partial.open("w", newline="", encoding="utf-8", errors="surrogateescape")
            )
            if self.layout == "csv":
                self._put([prediction_columns(self.attributes)])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Add a row for each prediction.

        Raises UsageError for one that lacks an attribute, or whose path no line of text can hold.
        """
        if self._file is None:
            raise UsageError("PredictionWriter must be entered with `with` before it can write")
        make = _csv_row if self.layout == "csv" else _text_row
        rows = [make(prediction, self.attributes) for prediction in predictions]
        try:
            self._put(rows)
        except OSError as problem:
            raise WriteError(self.path, problem) from problem
        self.count += len(rows)

    def _put(self, rows: Sequence[Sequence[str]]) -> None:
        assert self._file is not None
        if self.layout == "csv":
            # A carriage return ends a row when read; csv.writer before Python 3.13 leaves it without quotes.
            risky = any("\r" in row[0] for row in rows)
            writer = csv.writer(
                self._file, lineterminator="\n", quoting=csv.QUOTE_ALL if risky else csv.QUOTE_MINIMAL
            )
            writer.writerows(rows)
        else:
            self._file.writelines(" ".join(row) + "\n" for row in rows)


def _csv_row(prediction: Prediction, attributes: Sequence[Attribute]) -> list[str]:
    row = [prediction.path]
    for attribute in attributes:
        if attribute == "age":
            row += [f"{_age(prediction):.2f}", str(_age_count(prediction))]
        else:
            code, probabilities = _class(prediction, attribute)
            row += [str(code), *(f"{probability:.6f}" for probability in probabilities)]
    return row


def _text_row(prediction: Prediction, attributes: Sequence[Attribute]) -> list[str]:
    if "\n" in prediction.path or "\r" in prediction.path:
        raise UsageError(
            f"the text format cannot hold the line break in {prediction.path!r}; write CSV instead"
        )
    codes = (_age_count(prediction) if name == "age" else _class(prediction, name)[0] for name in attributes)
    return [prediction.path, *map(str, codes)]


def _class(prediction: Prediction, attribute: Literal["race", "gender"]) -> tuple[int, list[float]]:
    probabilities = prediction.race if attribute == "race" else prediction.gender
    if probabilities is None:
        raise _lacking(prediction, attribute)
    return int(np.argmax(probabilities)), probabilities.tolist()


def _age(prediction: Prediction) -> float:
    if prediction.age is None:
        raise _lacking(prediction, "age")
    return prediction.age


def _age_count(prediction: Prediction) -> int:
    if prediction.age_count is None:
        raise _lacking(prediction, AGE_COUNT_COLUMN)
    return prediction.age_count


def _lacking(prediction: Prediction, field: str) -> UsageError:
    return UsageError(f"the prediction for {prediction.path} has no {field}, which this file was opened for")
