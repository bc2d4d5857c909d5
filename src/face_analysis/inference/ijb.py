"""A model on IJB-B and IJB-C, 1:1: templates of many images, compared by their cosine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from face_analysis.bulk import Summary
from face_analysis.datasets.pairs.ijb import IjbSet
from face_analysis.errors import UnreadableImageError
from face_analysis.evaluation.verification import VerificationReport, verify_pairs
from face_analysis.files import Failures
from face_analysis.images.align import align_chip
from face_analysis.images.decode import decode
from face_analysis.images.limits import read_picture_file
from face_analysis.inference.embedder import Embedder
from face_analysis.inference.embeddings import Embeddings, faults
from face_analysis.parallel import in_order
from face_analysis.types import Image, ImageFailure

log = logging.getLogger(__name__)
PAIRS_AT_ONCE = 2**14
NAMED = 20
Integers = NDArray[np.integer]
Floats = NDArray[np.float32]


def verify_ijb(
    ijb: IjbSet, embedder: Embedder, failures: Failures, batch_size: int = 96, workers: int = 2
) -> VerificationReport:
    """Align the set's images by the landmarks of its list, embed and pool them, and measure its pairs.

    Images that cannot be used go to `failures`; templates without another are named on the log, and pairs
    with them are left out. Raises EmptyDataError where no pair of a kind is left, WriteError, and
    NoAnswerError where the model has no embedding for any image.
    """
    pool = TemplatePool(ijb.template, ijb.media, embedder.size)
    summary = Summary()
    for rows, chips in _batches(ijb, failures, batch_size, workers):
        embeddings = embedder.embed(chips)
        reasons = faults(embeddings)
        kept = [row for row in range(len(rows)) if row not in reasons]
        pool.add(rows[kept], embeddings[kept])
        summary.faces += len(kept)
        for row, reason in reasons.items():
            path = ijb.crops / ijb.images[rows[row]]
            failure = ImageFailure(str(path), f"{path}: {reason}", "no answer")
            failures.add([failure])
            summary.failures.append(failure)
    summary.check_answers()
    templates, there = pool.templates()
    usable = there[ijb.first] & there[ijb.second]
    left_out = int((~usable).sum())
    if not there.all():
        _name_absent(ijb, there, left_out)
    scores = _scores(templates, ijb.first[usable], ijb.second[usable])
    return verify_pairs(
        ijb.name, scores, ijb.same[usable], None, images=len(ijb.images), pairs_left_out=left_out
    )


def _batches(
    ijb: IjbSet, failures: Failures, size: int, workers: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Rows and their chips (K, 112, 112, 3), made in threads; those that cannot be made go to `failures`."""
    made = in_order(partial(_chip, ijb), range(len(ijb.images)), workers, 2 * size)
    batch: dict[int, Image] = {}
    for row, chip in enumerate(tqdm(made, total=len(ijb.images), desc=ijb.name, unit=" images")):
        if isinstance(chip, ImageFailure):
            failures.add([chip])
        else:
            batch[row] = chip
        if len(batch) == size or (batch and row + 1 == len(ijb.images)):
            yield np.array(list(batch)), np.stack(list(batch.values()))
            batch = {}


def _chip(ijb: IjbSet, row: int) -> Image | ImageFailure:
    path = ijb.crops / ijb.images[row]
    try:
        return align_chip(decode(read_picture_file(path), str(path)), ijb.landmarks[row])
    except UnreadableImageError as error:
        return ImageFailure(str(path), str(error))
    except OSError as error:
        return ImageFailure(str(path), f"{path}: {error.strerror}")
    except ValueError as error:  # of its landmarks
        return ImageFailure(str(path), f"{path}: {error}")


def _name_absent(ijb: IjbSet, there: NDArray[np.bool_], pairs: int) -> None:
    names = ijb.templates[~there]
    shown = ", ".join(map(str, names[:NAMED])) + (", ..." if len(names) > NAMED else "")
    about = (ijb.name, len(names), pairs, shown)
    log.warning("%s: templates without a usable image: %d; pairs left out with them: %d (%s)", *about)


def _scores(
    templates: Embeddings, first: NDArray[np.int32], second: NDArray[np.int32]
) -> NDArray[np.float32]:
    """The cosines (P,) of pairs, so many at once that their templates stay few beside all."""
    scores = np.empty(len(first), np.float32)
    for start in range(0, len(first), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        np.einsum("pd,pd->p", templates[first[part]], templates[second[part]], out=scores[part])
    return scores


class TemplatePool:
    """Gathers the embeddings of N images as they come, and pools them into T templates.

    `template` (N,), 0 to T - 1, and `media` (N,) say where an image belongs. A template is the sum over its
    media of the mean of each one's images, so that a video of many frames counts as much as a still. Only the
    sums of medias are held, not the embeddings.
    """

    def __init__(self, template: Integers, media: Integers, size: int) -> None:
        groups, inverse = np.unique(np.column_stack([template, media]), axis=0, return_inverse=True)
        self._group = inverse.reshape(-1)
        self._template = groups[:, 0]
        self._sums = np.zeros((len(groups), size), np.float32)
        self._counts = np.zeros(len(groups), np.float32)

    def add(self, rows: Integers, embeddings: Floats) -> None:
        """Take in the embeddings (K, size) of K of the images."""
        groups = self._group[rows]
        np.add.at(self._sums, groups, embeddings)
        np.add.at(self._counts, groups, 1)

    def templates(self) -> tuple[Floats, NDArray[np.bool_]]:
        """(T, size), each of norm 1, and (T,): which have an image; those without are zeros."""
        sums = np.zeros((self._template[-1] + 1, self._sums.shape[1]), np.float32)
        there = np.zeros(len(sums), np.bool_)
        np.add.at(sums, self._template, self._sums / np.maximum(self._counts, 1)[:, None])
        there[self._template[self._counts > 0]] = True
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return sums / np.maximum(lengths, np.float32(1e-12)), there
