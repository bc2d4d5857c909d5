"""All pairs of descriptors, or of embeddings, that are near each other, found block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.audit.descriptor import ODD

Vectors = NDArray[np.float32]
BLOCK = 2048
"""Rows of a block; two blocks of their products take 32 MB."""


@dataclass(frozen=True)
class NearPairs:
    """Pairs of rows `first` < `second` (P,) with their `similarity` (P,); `mirrored` (P,) bool."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: NDArray[np.float32]
    mirrored: NDArray[np.bool_]


def near_copies(descriptors: Vectors, least: float) -> NearPairs:
    """Pairs of copy descriptors (N, SIZE) whose similarity, as they are or mirrored, is at least `least`.

    Every pair is compared, in memory that does not grow with their number.
    """
    even, odd = descriptors[:, ~ODD].copy(), descriptors[:, ODD].copy()
    found = []
    for rows, columns in _blocks(len(descriptors)):
        straight = even[rows] @ even[columns].T
        turned = odd[rows] @ odd[columns].T
        similar, mirrored = straight + turned, straight - turned
        best = np.maximum(similar, mirrored)
        first, second = np.nonzero(best >= least)
        kept = first + rows.start < second + columns.start
        first, second = first[kept], second[kept]
        found.append(
            (
                first + rows.start,
                second + columns.start,
                best[first, second],
                mirrored[first, second] > similar[first, second],
            )
        )
    return _joined(found)


def near_across(vectors: Vectors, parts: NDArray[np.integer], least: float) -> NearPairs:
    """Pairs of rows of different `parts` (N,) whose scalar product is at least `least`; none is mirrored."""
    found = []
    for rows, columns in _blocks(len(vectors)):
        similar = vectors[rows] @ vectors[columns].T
        first, second = np.nonzero(similar >= least)
        first, second = first + rows.start, second + columns.start
        kept = (first < second) & (parts[first] != parts[second])
        first, second = first[kept], second[kept]
        similarity = similar[first - rows.start, second - columns.start]
        found.append((first, second, similarity, np.zeros(len(first), np.bool_)))
    return _joined(found)


def groups_of(first: Iterable[int], second: Iterable[int], count: int) -> NDArray[np.int64]:
    """The group (count,) of each row when paired rows belong together: the smallest row of its group."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in zip(first, second, strict=True):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(row) for row in range(count)], np.int64)


def _blocks(count: int) -> Iterator[tuple[slice, slice]]:
    """The blocks on and above the diagonal."""
    starts = range(0, count, BLOCK)
    for row in starts:
        for column in starts:
            if column >= row:
                yield slice(row, min(row + BLOCK, count)), slice(column, min(column + BLOCK, count))


def _joined(
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], Vectors, NDArray[np.bool_]]],
) -> NearPairs:
    if not found:
        none = np.zeros(0, np.int64)
        return NearPairs(none, none, np.zeros(0, np.float32), np.zeros(0, np.bool_))
    return NearPairs(*(np.concatenate(column) for column in zip(*found, strict=True)))
