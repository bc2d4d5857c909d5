"""Scores counted in fine equal bins: what error rates are told from when the pairs are too many to keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 20_000
BIN_WIDTH = 2 / BINS
"""1e-4: bin b holds the cosines from -1 + b * BIN_WIDTH up to, not including, the next."""


@dataclass(frozen=True)
class ScoreHistogram:
    """How many mated and non-mated pairs have a cosine in each bin, both int64 (BINS,).

    The last bin also holds 1 and what rounding lifts over it, the first what rounding pushes below -1.
    """

    mated: NDArray[np.int64]
    non_mated: NDArray[np.int64]

    def any(self) -> bool:
        """Whether there is any pair."""
        return bool(self.mated.any() or self.non_mated.any())

    def add(self, other: ScoreHistogram) -> ScoreHistogram:
        """The counts of both together."""
        return ScoreHistogram(self.mated + other.mated, self.non_mated + other.non_mated)


def edges() -> NDArray[np.float64]:
    """The edges of the bins, float64 (BINS + 1,), from -1 to 1."""
    return np.linspace(-1.0, 1.0, BINS + 1)
