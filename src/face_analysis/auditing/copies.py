"""Groups of images that are copies of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from face_analysis.auditing.scan import Scan
from face_analysis.auditing.similarity import Groups, near_copies

Kind = Literal["first", "same bytes", "same pixels", "near", "mirrored"]
SIMILARITY = 0.88
"""From here two pictures count as copies; chosen on CelebA, see `copy_descriptor`."""


@dataclass(frozen=True)
class Copy:
    """An image of a group: what it is to those before it, and its greatest similarity with any of them."""

    row: int
    kind: Kind
    similarity: float


CopyGroup = tuple[Copy, ...]
"""Two images or more, in the order of their rows."""


def find_copies(scan: Scan, similarity: float = SIMILARITY) -> list[CopyGroup]:
    """Groups of copies, ordered by their first rows. An image is in one group at most.

    Images are copies when their bytes or pixels are the same, or their descriptors, also mirrored, at least
    so similar; copies of copies belong together.
    """
    readable = np.flatnonzero(scan.readable)
    exact = _first_of(scan.pixel_hashes[readable])
    distinct = readable[exact == np.arange(len(readable))]
    groups = Groups(len(scan.faces))
    groups.join(readable[exact], readable)
    plain, mirrored = np.zeros((2, len(scan.faces)), np.float32)
    for near in near_copies(scan.descriptors[distinct], similarity):
        groups.join(distinct[near.first], distinct[near.second])
        for rows in (distinct[near.first], distinct[near.second]):
            np.maximum.at(plain, rows[~near.mirrored], near.similarity[~near.mirrored])
            np.maximum.at(mirrored, rows[near.mirrored], near.similarity[near.mirrored])
    best = np.minimum(np.maximum(plain, mirrored), 1)
    return [_described(rows, scan, best, mirrored > plain) for rows in _members(groups.smallest())]


def _first_of(hashes: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """For each hash (N,) the place of the first that equals it."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def _members(group: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return [rows for rows in parts if len(rows) > 1]


def _described(
    rows: NDArray[np.int64], scan: Scan, best: NDArray[np.float32], turned: NDArray[np.bool_]
) -> CopyGroup:
    copies: list[Copy] = []
    files: set[bytes] = set()
    pixels: set[bytes] = set()
    for row in rows.tolist():
        kind: Kind = "first"
        likeness = float(best[row]) or 1.0  # nothing but the same pixels resembles it
        if scan.file_hashes[row] in files:
            kind, likeness = "same bytes", 1.0
        elif scan.pixel_hashes[row] in pixels:
            kind, likeness = "same pixels", 1.0
        elif copies:
            kind = "mirrored" if turned[row] else "near"
        files.add(scan.file_hashes[row])
        pixels.add(scan.pixel_hashes[row])
        copies.append(Copy(row, kind, likeness))
    return tuple(copies)
