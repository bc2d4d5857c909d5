"""Labels judged before the first step: what cannot be learnt is refused, what is missing is named."""

from __future__ import annotations

import logging
import os

import numpy as np

from face_analysis.datasets.attributes import GROUP_NAMES, Attribute, group_index
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
        if not training.counts(name).any():
            raise EmptyDataError(
                f"{training.source.origin}: no image has a known {name}, so there is nothing to learn for "
                f"it; leave {name} out of --attribute, or correct the labels"
            )
        _warn(training, name, "this head has nothing to tell apart", "the model cannot learn it")
        if validation.counts(name).any():
            _warn(validation, name, "to always say that is right", "the measures say nothing of it")
        else:
            log.warning(
                "no image in %s has a known %s: it is learnt, but has no measure and no part in the score",
                validation.source.origin,
                name,
            )
    _warn_of_shared_images(training, validation)


def _warn(dataset: FaceDataset, name: Attribute, one_value: str, no_image: str) -> None:
    """Say what it comes to where all labels are one, and where a class or a decade of age has no image."""
    origin, labels = dataset.source.origin, np.flatnonzero(dataset.counts(name))
    if len(labels) == 1:
        only = str(labels[0]) if name == "age" else GROUP_NAMES[name][labels[0]]
        log.warning("every known %s in %s is %s: %s", name, origin, only, one_value)
    found = set(group_index(name, labels).tolist())
    missing = ", ".join(group for code, group in enumerate(GROUP_NAMES[name]) if code not in found)
    if missing:
        log.warning("no image of %s %s in %s: %s", name, missing, origin, no_image)


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
