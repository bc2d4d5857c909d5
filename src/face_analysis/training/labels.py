"""Labels judged before the first step: what cannot be learnt is refused, what is missing is named."""

from __future__ import annotations

import logging
import os

import numpy as np

from face_analysis.datasets.attributes import GROUP_NAMES, UNKNOWN, Attribute, group_index
from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.sources import FolderSource, ImageSource
from face_analysis.errors import EmptyDataError

log = logging.getLogger(__name__)


def judge_labels(training: FaceDataset, validation: FaceDataset, attributes: tuple[Attribute, ...]) -> None:
    """Warn of attributes and classes without images, and of images that both sides have.

    Raises EmptyDataError for an attribute that no training image has a label of, and for one training image.
    """
    if len(training) < 2:
        raise EmptyDataError(f"{training.source.origin}: only one image; training needs at least two")
    for name in attributes:
        _judge_training(training, name)
        _judge_validation(validation, name)
    _warn_of_shared_images(training, validation)


def _judge_training(training: FaceDataset, name: Attribute) -> None:
    origin = training.source.origin
    if not len(_known(training, name)):
        raise EmptyDataError(
            f"{origin}: no image has a known {name}, so there is nothing to learn for it; "
            f"leave {name} out of --attribute, or correct the labels"
        )
    if only := _only_value(training, name):
        log.warning("every known %s in %s is %s: this head has nothing to tell apart", name, origin, only)
    if missing := _missing_groups(training, name):
        log.warning("no image of %s %s in %s: the model cannot learn it", name, missing, origin)


def _judge_validation(validation: FaceDataset, name: Attribute) -> None:
    origin = validation.source.origin
    if not len(_known(validation, name)):
        log.warning(
            "no image in %s has a known %s: it is learnt, but has no measure and no part in the score",
            origin,
            name,
        )
        return
    if only := _only_value(validation, name):
        log.warning("every known %s in %s is %s: to always say that is right", name, origin, only)
    if missing := _missing_groups(validation, name):
        log.warning("no image of %s %s in %s: the measures say nothing of it", name, missing, origin)


def _known(dataset: FaceDataset, name: Attribute) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    labels = dataset.labels[:, dataset.columns.index(name)]
    known: np.ndarray[tuple[int], np.dtype[np.int64]] = labels[labels != UNKNOWN]
    return known


def _only_value(dataset: FaceDataset, name: Attribute) -> str:
    """The one label that all images have, in words; empty where there are several."""
    values = np.unique(_known(dataset, name)).tolist()
    if len(values) > 1:
        return ""
    return str(values[0]) if name == "age" else GROUP_NAMES[name][values[0]]


def _missing_groups(dataset: FaceDataset, name: Attribute) -> str:
    """The classes of race or gender, or the decades of age, without an image."""
    found = set(group_index(name, _known(dataset, name)).tolist())
    return ", ".join(group for code, group in enumerate(GROUP_NAMES[name]) if code not in found)


def _warn_of_shared_images(training: FaceDataset, validation: FaceDataset) -> None:
    learnt = {_place(training.source, row) for row in training.rows.tolist()}
    shared = sum(_place(validation.source, row) in learnt for row in validation.rows.tolist())
    if shared:
        log.warning(
            "%d of the %d validation images are training images too: "
            "the measures tell how well these are remembered",
            shared,
            len(validation),
        )


def _place(source: ImageSource, row: int) -> str:
    """What tells an image from all others: its path, or its place in a packed file."""
    if isinstance(source, FolderSource):
        # A list may have millions of paths, for which pathlib takes minutes.
        return os.path.abspath(os.path.join(source.root or "", source.name(row)))  # noqa: PTH100, PTH118
    return f"{source.origin.absolute()}[{row}]"
