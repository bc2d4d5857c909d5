"""Predictions beside the labels of the same images, joined by path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.predictions.tables import PredictionTable
from face_analysis.errors import EmptyDataError, UsageError

NAMED = 5
TRIED = 1000
"""Paths of each file that are compared to say how those of two files differ."""


@dataclass(frozen=True)
class Joined:
    """Labels and predictions of the same N images, in the order of the list; every array is (N,).

    `missing` listed images have no prediction; `unlisted` predictions belong to no listed image. The first
    few of each are named. Neither is among `images`.
    """

    images: list[str]
    labels: dict[Attribute, NDArray[np.int64]]
    predictions: dict[Attribute, NDArray[np.number]]
    age_count: NDArray[np.int64] | None
    missing: int
    first_missing: tuple[str, ...]
    unlisted: int
    first_unlisted: tuple[str, ...]


def join(labels: ImageList, predictions: PredictionTable, source: Path | None = None) -> Joined:
    """Bring labels and predictions together by the path as both files write it.

    With `source`, the folder of the list's paths, predictions may have them joined with it, as those of the
    original system. Raises UsageError for an image listed twice, which would count twice, or one file given
    as both, and EmptyDataError where no path is in both files.
    """
    if labels.path.exists() and predictions.path.exists() and labels.path.samefile(predictions.path):
        raise UsageError(f"{labels.path} is given as labels and as predictions: give the list of true labels")
    _refuse_duplicates(labels)
    found = _rows(predictions.images, labels.images)
    if source is not None:
        joined = [os.path.normpath(source / image) for image in labels.images]
        again = _rows([os.path.normpath(image) for image in predictions.images], joined)
        found = np.where(found < 0, again, found)
    has = found >= 0
    if not has.any():
        raise EmptyDataError(_nothing_shared(labels, predictions))
    rows = found[has]
    absent = np.flatnonzero(~has)
    unlisted = np.setdiff1d(np.arange(len(predictions.images)), rows)
    count = predictions.age_count
    return Joined(
        images=[predictions.images[row] for row in rows],
        labels={name: labels.labels[name][has] for name in ATTRIBUTES if name in labels.labels},
        predictions={name: values[rows] for name, values in predictions.values.items()},
        age_count=None if count is None else count[rows],
        missing=absent.size,
        first_missing=tuple(labels.images[row] for row in absent[:NAMED]),
        unlisted=unlisted.size,
        first_unlisted=tuple(predictions.images[row] for row in unlisted[:NAMED]),
    )


def _rows(predicted: Sequence[str], listed: Sequence[str]) -> NDArray[np.int64]:
    """The row of each listed image among the predicted ones (N,), -1 where it is not there."""
    row_of = {image: row for row, image in enumerate(predicted)}
    return np.fromiter((row_of.get(image, -1) for image in listed), np.int64, len(listed))


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
        f"(such as {predictions.images[0]}); {_advice(labels.images, predictions.images)}"
    )


def _advice(listed: Sequence[str], predicted: Sequence[str]) -> str:
    """What to do about paths of which one file has a folder in front that the other lacks."""
    for image in predicted[:TRIED]:
        for other in listed[:TRIED]:
            if image.endswith(f"/{other}"):
                return f"these have a folder in front: give --source {image.removesuffix(other)}"
            if other.endswith(f"/{image}"):
                return f"the list has {other.removesuffix(image)} in front: take it off its paths"
    return "paths must be written alike in both"
