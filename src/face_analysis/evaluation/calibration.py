"""Whether probabilities of classes and intervals of age mean what they say.

Temperature scaling and reliability of classes; intervals of age by split conformal prediction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import AGE_BANDS, group_index, known
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.attributes import Measures
from face_analysis.evaluation.intervals import SEED, mean_estimate

BINS = 15
LOW_TEMPERATURE, HIGH_TEMPERATURE = 0.05, 20.0

Floats = NDArray[np.float64]
Ends = NDArray[np.floating]


@dataclass(frozen=True)
class Reliability:
    """What the top class's probability promises and what it holds, in bins of equal width.

    Bin b of B holds the images whose confidence is over b / B and at most (b + 1) / B. `confidence` (B,) is
    their mean, `accuracy` (B,) the fraction of them predicted right, both 0 to 1 and NaN in a bin without
    images; `count` (B,) are the images.
    """

    confidence: Floats
    accuracy: Floats
    count: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error, 0 to 1: the mean over the images of |accuracy - confidence|."""
        filled = self.count > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float(np.average(gaps, weights=self.count[filled]))


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The T that gives softmax(logits / T) the least negative log likelihood: temperature scaling.

    `logits` (N, C), `labels` (N,) codes 0 to C - 1; images with another label (-1: unknown) are left out.
    T is 0.05 to 20, one of the ends where the best lies beyond it. Raises EmptyDataError where no label is
    known, UsageError for shapes that do not fit or logits that are not finite. Guo et al. 2017 (arXiv
    1706.04599), section 4.2.
    """
    from scipy.optimize import brentq

    scores, codes = _known_rows(logits, labels)
    if not np.isfinite(scores).all():
        raise UsageError("logits must be finite numbers")
    scores = scores - scores.max(axis=1, keepdims=True)
    right = scores[np.arange(len(codes)), codes].mean()

    def slope(log_temperature: float) -> float:
        weights = np.exp(scores / math.exp(log_temperature))
        expected = (weights * scores).sum(axis=1) / weights.sum(axis=1)
        return float(expected.mean() - right)

    # The loss is convex in 1 / T, so its slope changes sign once at most.
    if slope(math.log(LOW_TEMPERATURE)) <= 0:
        return LOW_TEMPERATURE
    if slope(math.log(HIGH_TEMPERATURE)) >= 0:
        return HIGH_TEMPERATURE
    return math.exp(brentq(slope, math.log(LOW_TEMPERATURE), math.log(HIGH_TEMPERATURE)))


def reliability(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS
) -> Reliability:
    """Confidence and accuracy of the top class in `bins` bins; images with an unknown label are left out.

    `probabilities` (N, C) 0 to 1, `labels` (N,) codes. Raises as `calibration_error`.
    """
    if bins < 1:
        raise UsageError(f"{bins} bins: give at least 1")
    values, codes = _known_rows(probabilities, labels)
    if not ((values >= 0) & (values <= 1 + 1e-6)).all():
        raise UsageError("probabilities must be 0 to 1")
    top, right = values.max(axis=1), values.argmax(axis=1) == codes
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins).astype(np.int64)
    confidence, accuracy = np.full(bins, np.nan), np.full(bins, np.nan)
    for sums, values in ((confidence, top), (accuracy, right)):
        np.divide(np.bincount(index, weights=values, minlength=bins), count, out=sums, where=count > 0)
    return Reliability(confidence, accuracy, count)


def calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS
) -> float:
    """Expected calibration error of the top class, 0 to 1, over `bins` bins of confidence of equal width.

    `probabilities` (N, C) 0 to 1, `labels` (N,) codes; images with an unknown label are left out. Raises
    EmptyDataError where no label is known, UsageError for shapes that do not fit or probabilities out of
    range. Naeini, Cooper, Hauskrecht 2015 (AAAI); Guo et al. 2017 (arXiv 1706.04599), eq. 5.
    """
    return reliability(probabilities, labels, bins).error


def _known_rows(
    values: NDArray[np.floating], labels: NDArray[np.integer]
) -> tuple[Floats, NDArray[np.int64]]:
    if values.ndim != 2 or labels.shape != values.shape[:1]:
        raise UsageError(f"labels {labels.shape} and rows of classes {values.shape} must pair up one to one")
    known = (labels >= 0) & (labels < values.shape[1])
    if not known.any():
        raise EmptyDataError("nothing to calibrate on: no image has a known label")
    return values[known].astype(np.float64), labels[known].astype(np.int64)


def conformal_quantile(scores: NDArray[np.floating], coverage: float) -> float:
    """The ceil((N + 1) * coverage)-th smallest of N scores (N,); infinite where N is too small for it.

    The score of a new image, drawn as these were, is at most that with a probability of at least `coverage`
    (between 0 and 1). With |age - predicted| as the score this gives an interval age +- q, with |age -
    predicted| / spread age +- q * spread. Raises UsageError for a coverage out of range or a score that is
    NaN. Lei et al. 2018 (arXiv 1604.04173), algorithm 2 and section 5.2.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"coverage {coverage}: give a number between 0 and 1")
    if scores.ndim != 1 or np.isnan(scores).any():
        raise UsageError("scores must be a row of numbers")
    # 100 * 0.07 is a little over 7 in floating point, and must not count as 8.
    rank = max(1, math.ceil((scores.size + 1) * coverage - 1e-9))
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= scores.size else math.inf


def interval_coverage(low: Ends, high: Ends, ages: NDArray[np.integer]) -> float:
    """The fraction, 0 to 1, of the known true ages (N,) that lie within low to high (N,), the ends included.

    Raises EmptyDataError where no age is known, UsageError for lengths or ends that do not fit.
    """
    inside, _ = _inside_and_width(low, high, ages)
    return float(inside.mean())


def measure_intervals(low: Ends, high: Ends, ages: NDArray[np.integer], seed: int = SEED) -> Measures:
    """`coverage` (0 to 1) and mean `width` (years) of intervals (N,) of age, with their uncertainty.

    Images whose true age is not known are left out. Raises as `interval_coverage`.
    """
    inside, width = _inside_and_width(low, high, ages)
    found = {"coverage": mean_estimate(inside, seed), "width": mean_estimate(width, seed)}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def measure_intervals_by_age(
    low: Ends, high: Ends, ages: NDArray[np.integer], seed: int = SEED
) -> dict[str, Measures]:
    """What `measure_intervals` gives for each of AGE_BANDS of true age that has images."""
    _inside_and_width(low, high, ages)
    bands = group_index("age", ages)
    return {
        name: measure_intervals(low[rows], high[rows], ages[rows], seed)
        for index, name in enumerate(AGE_BANDS)
        if (rows := bands == index).any()
    }


def _inside_and_width(low: Ends, high: Ends, ages: NDArray[np.integer]) -> tuple[NDArray[np.bool_], Ends]:
    if not low.shape == high.shape == ages.shape or ages.ndim != 1:
        raise UsageError(f"ends {low.shape}, {high.shape} and ages {ages.shape} must pair up one to one")
    if not (low <= high).all():
        raise UsageError("an interval's low end must not be above its high end")
    use = known("age", ages)
    if not use.any():
        raise EmptyDataError("nothing to measure: no image has a known age")
    low, high, ages = low[use], high[use], ages[use]
    return (low <= ages) & (ages <= high), high - low
