"""Intervals of age by split conformal prediction: how wide they must be, and how often they hold the age."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import known
from face_analysis.datasets.lists.label_groups import AGE_BANDS, group_index
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.attributes import Measures
from face_analysis.evaluation.intervals import SEED, mean_estimate

Ends = NDArray[np.floating]


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
    """The share, 0 to 1, of the known true ages (N,) that lie within low to high (N,), the ends included.

    Raises EmptyDataError where no age is known, UsageError for lengths or ends that do not fit.
    """
    inside, _ = _known(low, high, ages)
    return float(inside.mean())


def measure_intervals(low: Ends, high: Ends, ages: NDArray[np.integer], seed: int = SEED) -> Measures:
    """`coverage` (0 to 1) and mean `width` (years) of intervals (N,) of age, with their uncertainty.

    Images whose true age is not known are left out. Raises as `interval_coverage`.
    """
    inside, width = _known(low, high, ages)
    found = {"coverage": mean_estimate(inside, seed), "width": mean_estimate(width, seed)}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def measure_intervals_by_age(
    low: Ends, high: Ends, ages: NDArray[np.integer], seed: int = SEED
) -> dict[str, Measures]:
    """What `measure_intervals` gives for each of AGE_BANDS of true age that has images."""
    _known(low, high, ages)
    bands = group_index("age", ages)
    return {
        name: measure_intervals(low[rows], high[rows], ages[rows], seed)
        for index, name in enumerate(AGE_BANDS)
        if (rows := bands == index).any()
    }


def _known(low: Ends, high: Ends, ages: NDArray[np.integer]) -> tuple[NDArray[np.bool_], Ends]:
    if not low.shape == high.shape == ages.shape or ages.ndim != 1:
        raise UsageError(f"ends {low.shape}, {high.shape} and ages {ages.shape} must pair up one to one")
    if not (low <= high).all():
        raise UsageError("an interval's low end must not be above its high end")
    use = known("age", ages)
    if not use.any():
        raise EmptyDataError("nothing to measure: no image has a known age")
    low, high, ages = low[use], high[use], ages[use]
    return (low <= ages) & (ages <= high), high - low
