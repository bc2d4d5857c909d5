"""Race, gender and age of images by path, from an image list or from predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, MAX_AGE, UNKNOWN, Attribute
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.predictions.files import AGE_COUNT_COLUMN, PATH_COLUMN, probability_columns
from face_analysis.datasets.predictions.rows import prediction_rows
from face_analysis.datasets.predictions.tables import read_predictions
from face_analysis.errors import EmptyDataError, ListFormatError


@dataclass(frozen=True)
class LabelFile:
    """Label codes (race, gender) and whole years (age) by attribute, (N,) each, -1 unknown, of N `images`.

    `predicted` says that they are what a model predicted, of the largest face of each photo.
    """

    path: Path
    images: Sequence[str]
    labels: Mapping[Attribute, NDArray[np.int64]]
    predicted: bool

    def columns_of(self, images: Sequence[str]) -> dict[str, list[str]]:
        """The codes of these images as text, empty where the file does not know them.

        Raises EmptyDataError where it has none of the images.
        """
        row_of = {image: row for row, image in enumerate(self.images)}
        rows = np.array([row_of.get(image, UNKNOWN) for image in images], np.int64)
        if not (rows >= 0).any():
            raise EmptyDataError(
                f"{self.path} has none of the images: it has {self.images[0]}, and {images[0]} is asked for; "
                "paths must be written alike in both"
            )
        found: dict[str, list[str]] = {}
        for name, values in self.labels.items():
            codes = np.where(rows >= 0, values[rows], UNKNOWN)
            found[name] = ["" if code < 0 else str(code) for code in codes.tolist()]
        return found


def read_label_file(path: Path) -> LabelFile:
    """Read an image list, or a file that `predict` wrote; its header says which it is.

    Raises MissingFileError, ListFormatError, UsageError and EmptyDataError as the readers of both.
    """
    if not _is_predictions(path):
        listed = read_image_list(path)
        labels: dict[Attribute, NDArray[np.int64]] = {
            name: listed.labels[name] for name in ATTRIBUTES if name in listed.labels
        }
        if not labels:
            raise EmptyDataError(f"{path}: the list has neither race, gender nor age")
        return LabelFile(path, listed.images, labels, predicted=False)
    table = read_predictions(path, "largest")
    codes = {name: np.rint(values).astype(np.int64).clip(0, MAX_AGE) for name, values in table.values.items()}
    return LabelFile(path, table.images, codes, predicted=True)


def _is_predictions(path: Path) -> bool:
    """Whether the header has the columns of `predict`."""
    if path.suffix == ".txt":
        return False
    try:
        header = next(islice(prediction_rows(path), 1), (0, []))[1]
    except ListFormatError:
        return False
    probabilities = {*probability_columns("race"), *probability_columns("gender"), AGE_COUNT_COLUMN}
    return PATH_COLUMN in header and bool(probabilities & set(header))
