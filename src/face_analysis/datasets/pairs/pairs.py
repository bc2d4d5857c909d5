"""Pairs of images, of one person or of two, as verification protocols list them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError

FOLDS = 10


@dataclass(frozen=True)
class Pairs:
    """Which images make a pair: `first` and `second` int64 (P,), rows of the images.

    `same` bool (P,): whether both show one person. `fold` int64 (P,), from 0: the part of the protocol.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def among(self, usable: NDArray[np.bool_], origin: Path) -> Pairs:
        """The pairs of images that are both `usable` (N,), their rows counted among the usable ones.

        Raises EmptyDataError, which names the `origin`, when no pair is left.
        """
        rows = np.cumsum(usable) - 1
        kept = usable[self.first] & usable[self.second]
        if not kept.any():
            raise EmptyDataError(f"{origin}: no pair is left of which both images can be read")
        return Pairs(rows[self.first[kept]], rows[self.second[kept]], self.same[kept], self.fold[kept])


def folds(count: int) -> NDArray[np.int64]:
    """The fold of each of `count` pairs, int64 (count,): ten parts in their order, the first ones longer."""
    return np.sort(np.arange(count, dtype=np.int64) % FOLDS)
