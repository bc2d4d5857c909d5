"""The most extreme scores with their pairs: the highest of non-mated pairs, the lowest of mated ones."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.evaluation.score_histogram import BINS
from face_analysis.matching.result import PairScores
from face_analysis.matching.strips import MARGIN, TOTAL_BINS

DECIMALS = 9
"""Scores are rounded so far, that those of equal rows are equal however they were summed."""
PAIRS_AT_ONCE = 512
MOST_UNSORTED = 0.25
"""As a share of the tail, how many pairs may wait to be sorted in."""


class Tail:
    """The `size` highest or lowest of the scores added, in order; equal ones in the order of their rows."""

    def __init__(self, end: Literal["highest", "lowest"], size: int) -> None:
        self.sign = -1 if end == "highest" else 1
        self.size = size
        self._sorted = PairScores(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._added: list[PairScores] = []

    def add(self, pairs: PairScores) -> None:
        """Take in more pairs; those that do not belong to the tail drop out."""
        self._added.append(pairs)
        coming = sum(len(each.score) for each in self._added)
        if coming > MOST_UNSORTED * self.size or len(self._sorted.score) < self.size:
            self._sort()

    @property
    def pairs(self) -> PairScores:
        """The tail of all that was added."""
        self._sort()
        return self._sorted

    def _sort(self) -> None:
        every = [self._sorted, *self._added]
        score = np.concatenate([each.score for each in every])
        probe = np.concatenate([each.probe for each in every])
        gallery = np.concatenate([each.gallery for each in every])
        kept = np.lexsort((gallery, probe, self.sign * score))[: self.size]
        self._sorted, self._added = PairScores(score[kept], probe[kept], gallery[kept]), []

    def limit(self, counts: NDArray[np.int64]) -> int:
        """The bin that a pair must reach to enter, when pairs with these `counts` (TOTAL_BINS,) are added.

        One bin more is left for the rounding of float32.
        """
        steps = int(np.searchsorted(np.cumsum(counts[:: self.sign]), self.size))
        reached = self._sorted.score
        if 0 < self.size == len(reached):
            last = int((reached[-1] + 1) * (BINS / 2)) + MARGIN
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
        first, second = _vectors(probes, rows[chunk]), _vectors(gallery, columns[chunk])
        lengths = np.sqrt(np.vecdot(first, first) * np.vecdot(second, second))
        found[chunk] = np.vecdot(first, second) / lengths
    return np.round(found, DECIMALS)


def _vectors(features: Tensor, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    found = features.index_select(0, torch.from_numpy(rows).to(features.device))
    return found.cpu().numpy().astype(np.float64)
