"""Predictions beside the labels of the same images, joined by path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.predictions.tables import PredictionTable
from face_analysis.errors import EmptyDataError, UsageError

NAMED = 5


@dataclass(frozen=True)
class Joined:
    """Labels and predictions of the same N images, in the order of the list; every array is (N,).

    `missing` listed images have no prediction, the first few named in `first_missing`; `unlisted` predictions
    belong to no listed image. Neither is among `images`.
    """

    images: list[str]
    labels: dict[Attribute, NDArray[np.int64]]
    predictions: dict[Attribute, NDArray[np.number]]
    age_count: NDArray[np.int64] | None
    missing: int
    first_missing: tuple[str, ...]
    unlisted: int


def join(labels: ImageList, predictions: PredictionTable) -> Joined:
    """Bring labels and predictions together by the path as both files write it.

    Raises UsageError for an image listed twice, which would count twice, and EmptyDataError where no path
    is in both files.
    """
    _refuse_duplicates(labels)
    row_of = {image: row for row, image in enumerate(predictions.images)}
    found = np.array([row_of.get(image, -1) for image in labels.images], dtype=np.int64)
    has = found >= 0
    if not has.any():
        raise EmptyDataError(_nothing_shared(labels, predictions))
    rows = found[has]
    absent = np.flatnonzero(~has)
    count = predictions.age_count
    return Joined(
        images=[predictions.images[row] for row in rows],
        labels={name: labels.labels[name][has] for name in ATTRIBUTES if name in labels.labels},
        predictions={name: values[rows] for name, values in predictions.values.items()},
        age_count=None if count is None else count[rows],
        missing=absent.size,
        first_missing=tuple(labels.images[row] for row in absent[:NAMED]),
        unlisted=len(predictions.images) - rows.size,
    )


def _refuse_duplicates(labels: ImageList) -> None:
    if len(set(labels.images)) == len(labels.images):
        return
    first: dict[str, int] = {}
    for number, image in enumerate(labels.images, start=1):
        if first.setdefault(image, number) != number:
            raise UsageError(
                f"{labels.path}: image {number} is image {first[image]} again ({image}); remove one"
            )


def _nothing_shared(labels: ImageList, predictions: PredictionTable) -> str:
    listed = labels.images[0] if labels.images else "nothing"
    return (
        f"no image of {labels.path} (such as {listed}) has a prediction in {predictions.path} "
        f"(such as {predictions.images[0]}); paths must be written alike in both"
    )
