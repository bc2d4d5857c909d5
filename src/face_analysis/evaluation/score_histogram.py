"""Error rates of comparisons whose scores are counted in fine equal bins, as they are too many to keep.

FMR and FNMR are exact at the edges of the bins. What lies between two edges is known to lie between their
rates: a threshold is at most BIN_WIDTH too high, and a rate there is off by `binning_error` at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError
from face_analysis.evaluation.error_rates import LEAST_SPREAD, Curve

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


CENTRES = (edges()[:-1] + edges()[1:]) / 2


class Bounded(NamedTuple):
    """A figure of a histogram, and the least and the most it can be for the scores behind it."""

    value: float
    low: float
    high: float


def curve_of(histogram: ScoreHistogram) -> Curve:
    """The rates at the edges of the bins, exact; the last threshold lies over every score, 1 + BIN_WIDTH.

    Without mated pairs FNMR is NaN, without non-mated pairs FMR is. Raises EmptyDataError without any pair.
    """
    mated, non_mated = int(histogram.mated.sum()), int(histogram.non_mated.sum())
    if not mated + non_mated:
        raise EmptyDataError("no pairs: rates need pairs to be counted")
    thresholds = edges()
    thresholds[-1] += BIN_WIDTH  # scores of 1 and what rounding lifts over it are in the last bin
    fnmr = np.concatenate([[0], np.cumsum(histogram.mated)]) / (mated or np.nan)
    fmr = np.concatenate([np.cumsum(histogram.non_mated[::-1])[::-1], [0]]) / (non_mated or np.nan)
    return Curve(thresholds, fmr, fnmr, mated, non_mated)


def binning_error(histogram: ScoreHistogram, threshold: float) -> tuple[float, float]:
    """The fractions, 0 to 1, of non-mated and mated pairs in the bin that ends at a threshold of the curve.

    By so much at most do FMR and FNMR change on the way down to the next edge, where the exact threshold of
    an FMR lies; and the equal error rate is off by at most the smaller of both at the threshold over it.
    """
    mated, non_mated = _totals(histogram)
    place = min(max(round((threshold + 1) / BIN_WIDTH) - 1, 0), BINS - 1)
    return float(histogram.non_mated[place] / non_mated), float(histogram.mated[place] / mated)


def d_prime_of(histogram: ScoreHistogram) -> Bounded | None:
    """d' as `error_rates.d_prime`, every score taken for the middle of its bin, with its bounds.

    None without pairs of both kinds, and where the scores spread by less than the bins can tell.

    No score moves by more than half a BIN_WIDTH by that, and neither does a mean or, as a distance obeys the
    triangle inequality, a standard deviation or the root mean square of two.
    """
    if not (histogram.mated.any() and histogram.non_mated.any()):
        return None
    means, variances = zip(*map(_moments, (histogram.mated, histogram.non_mated)), strict=True)
    distance, spread = abs(means[0] - means[1]), math.sqrt(sum(variances) / 2)
    least = spread - BIN_WIDTH / 2
    if least <= LEAST_SPREAD:
        return None
    low, high = max(distance - BIN_WIDTH, 0) / (spread + BIN_WIDTH / 2), (distance + BIN_WIDTH) / least
    return Bounded(distance / spread, low, high)


def _totals(histogram: ScoreHistogram) -> tuple[int, int]:
    for what, counts in (("mated", histogram.mated), ("non-mated", histogram.non_mated)):
        if not counts.any():
            raise EmptyDataError(f"no {what} pairs: rates need pairs of both kinds")
    return int(histogram.mated.sum()), int(histogram.non_mated.sum())


def _moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    mean = float(np.average(CENTRES, weights=counts))
    return mean, float(np.average((CENTRES - mean) ** 2, weights=counts))
