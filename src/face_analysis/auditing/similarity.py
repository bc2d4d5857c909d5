"""How alike pictures are: descriptors of pictures, and all pairs of them that are near each other.

A descriptor finds copies of its picture, and not other pictures of the same person. Pairs are found and given
block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from face_analysis.types import Image

Vectors = NDArray[np.float32]
BLOCK = 2048
"""Rows of a block; two blocks of their products take 32 MB."""
GRID = 32
"""Side, in pixels, that a picture is brought to."""
FREQUENCIES = 16
SIZE = FREQUENCIES**2
_RADIUS = np.hypot(*np.mgrid[:FREQUENCIES, :FREQUENCIES]).astype(np.float32)
_WEIGHTS = np.where(_RADIUS >= 2, _RADIUS**1.5, 0)
"""The spectrum of photos falls about so; the slowest waves are light, and the pose that faces share."""
ODD = (np.arange(SIZE) % 2).astype(bool)
"""The waves that change their sign when the picture is mirrored."""


def copy_descriptor(image: Image) -> NDArray[np.float32]:
    """RGB uint8 (H, W, 3) -> (SIZE,) float32 of length 1; zeros for a picture without any detail.

    The cosine transform of the grey picture at 32x32, of which 16x16 frequencies are kept and levelled. The
    scalar product of two is their similarity, at most 1. Measured on CelebA: copies re-encoded at JPEG 30,
    halved, doubled, mirrored or made lighter or darker had 0.90 and more with their originals, and of 52
    million other pairs those over 0.86 were all of one photo, by eye.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    shrinks = min(grey.shape) >= GRID
    small = cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    waves = cv2.dct(small)[:FREQUENCIES, :FREQUENCIES] * _WEIGHTS
    length = float(np.linalg.norm(waves))
    # Rounding leaves traces in a flat picture, which must not be blown up to a description.
    levelled = waves / length if length > 1 else np.zeros_like(waves)
    return cast(NDArray[np.float32], levelled.astype(np.float32).ravel())


@dataclass(frozen=True)
class NearPairs:
    """Pairs of rows `first` < `second` (P,) with their `similarity` (P,); `mirrored` (P,) bool."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: NDArray[np.float32]
    mirrored: NDArray[np.bool_]


def near_copies(descriptors: Vectors, least: float) -> Iterator[NearPairs]:
    """Pairs of copy descriptors (N, SIZE) whose similarity, as they are or mirrored, is at least `least`.

    Every pair is compared, in memory that does not grow with their number, nor with that of the near ones.
    """
    even, odd = descriptors[:, ~ODD].copy(), descriptors[:, ODD].copy()
    for rows, columns in _blocks(len(descriptors)):
        straight = even[rows] @ even[columns].T
        turned = odd[rows] @ odd[columns].T
        similar, mirrored = straight + turned, straight - turned
        best = np.maximum(similar, mirrored)
        first, second = np.nonzero(best >= least)
        kept = first + rows.start < second + columns.start
        first, second = first[kept], second[kept]
        yield NearPairs(
            first + rows.start,
            second + columns.start,
            best[first, second],
            mirrored[first, second] > similar[first, second],
        )


def near_across(vectors: Vectors, parts: NDArray[np.integer], least: float) -> Iterator[NearPairs]:
    """Pairs of rows of different `parts` (N,) whose scalar product is at least `least`; none is mirrored."""
    for rows, columns in _blocks(len(vectors)):
        similar = vectors[rows] @ vectors[columns].T
        first, second = np.nonzero(similar >= least)
        first, second = first + rows.start, second + columns.start
        kept = (first < second) & (parts[first] != parts[second])
        first, second = first[kept], second[kept]
        similarity = similar[first - rows.start, second - columns.start]
        yield NearPairs(first, second, similarity, np.zeros(len(first), np.bool_))


class Groups:
    """Rows that belong together, as pairs of them come; what it keeps does not grow with the pairs."""

    def __init__(self, count: int) -> None:
        self._parent: NDArray[np.int64] = np.arange(count)

    def join(self, first: NDArray[np.integer], second: NDArray[np.integer]) -> None:
        """Put the rows of each pair, (P,) and (P,), into one group."""
        roots, place = np.unique(self._roots(np.concatenate([first, second])), return_inverse=True)
        one, other = place[: len(first)], place[len(first) :]
        label = np.arange(len(roots))
        while (label[one] != label[other]).any():
            least = np.minimum(label[one], label[other])
            np.minimum.at(label, label[one], least)
            np.minimum.at(label, label[other], least)
            label = label[label]
        self._parent[roots] = roots[label]

    def smallest(self) -> NDArray[np.int64]:
        """The group (count,) of each row: the smallest row in it."""
        return self._roots(np.arange(len(self._parent)))

    def _roots(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        above: NDArray[np.int64] = self._parent[rows]
        while (above != self._parent[above]).any():
            above = self._parent[above]
        self._parent[rows] = above
        return above


def _blocks(count: int) -> Iterator[tuple[slice, slice]]:
    """The blocks on and above the diagonal."""
    starts = range(0, count, BLOCK)
    for row in starts:
        for column in starts:
            if column >= row:
                yield slice(row, min(row + BLOCK, count)), slice(column, min(column + BLOCK, count))
