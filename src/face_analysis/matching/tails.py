"""The most extreme scores with their pairs: the highest of non-mated pairs, the lowest of mated ones."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vecdot, vector_norm

from face_analysis.evaluation.score_histogram import BINS
from face_analysis.matching.result import PairScores
from face_analysis.matching.strips import MARGIN, TOTAL_BINS

DECIMALS = 9
"""Scores are rounded so far, that those of equal rows are equal however they were summed."""
PAIRS_AT_ONCE = 4096


class Tail:
    """The `size` highest or lowest of the scores added, in order; equal ones in the order of their rows."""

    def __init__(self, end: Literal["highest", "lowest"], size: int) -> None:
        self.sign = -1 if end == "highest" else 1
        self.size = size
        self.pairs = PairScores(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))

    def add(self, pairs: PairScores) -> None:
        """Take in more pairs; those that do not belong to the tail drop out."""
        old = self.pairs
        score = np.append(old.score, pairs.score)
        probe, gallery = np.append(old.probe, pairs.probe), np.append(old.gallery, pairs.gallery)
        kept = np.lexsort((gallery, probe, self.sign * score))[: self.size]
        self.pairs = PairScores(score[kept], probe[kept], gallery[kept])

    def limit(self, counts: NDArray[np.int64]) -> int:
        """The bin that a pair must reach to enter, when pairs with these `counts` (TOTAL_BINS,) are added.

        One bin more is left for the rounding of float32.
        """
        steps = int(np.searchsorted(np.cumsum(counts[:: self.sign]), self.size))
        if 0 < self.size == len(self.pairs):
            last = int((self.pairs.score[-1] + 1) * (BINS / 2)) + MARGIN
            steps = min(steps, last if self.sign > 0 else TOTAL_BINS - 1 - last)
        return steps + 1 if self.sign > 0 else TOTAL_BINS - 2 - steps

    def reached(self, bins: NDArray[np.int64], limit: int) -> NDArray[np.bool_]:
        """Which of the bins reach the limit."""
        return bins <= limit if self.sign > 0 else bins >= limit


def exact_cosines(
    probes: Tensor, gallery: Tensor, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Cosines (P,) in float64 of the probes' `rows` with the gallery's `columns`, pair by pair."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        chunk = slice(start, start + PAIRS_AT_ONCE)
        first, second = probes[rows[chunk]].double(), gallery[columns[chunk]].double()
        lengths = vector_norm(first, dim=1) * vector_norm(second, dim=1)
        found[chunk] = (vecdot(first, second) / lengths).cpu().numpy()
    return np.round(found, DECIMALS)
