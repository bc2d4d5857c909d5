"""Percentile bootstrap intervals whose cost and memory do not grow with the number of images; Wilson's.

Drawing N images with replacement and counting them by kind is one multinomial draw over the kinds, so the
bootstrap of anything that depends on counts alone needs only the counts. Efron and Tibshirani, "An
Introduction to the Bootstrap" (1993), chapter 13.

A percentile interval is too narrow for a handful of images, and has no width where every image agrees (all
right or all wrong): read it together with its count.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import UsageError

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0
MAX_CELLS = 512
NORMAL_QUANTILE = NormalDist().inv_cdf((1 + LEVEL) / 2)
STUDENT_TERMS = (
    (4, (1, 0, 1, 0)),
    (96, (5, 0, 16, 0, 3, 0)),
    (384, (3, 0, 19, 0, 17, 0, -15, 0)),
    (92160, (79, 0, 776, 0, 1482, 0, -1920, 0, -945, 0)),
)
"""For each power of 1 / degrees of freedom a divisor, and a polynomial in the normal quantile."""


@dataclass(frozen=True)
class Estimate:
    """A figure, the ends of its 95 % interval in the same unit, and the images or pairs behind it."""

    value: float
    low: float
    high: float
    count: int

    def to_dict(self) -> dict[str, float | int]:
        """The four fields by name, for JSON; every number is finite."""
        return asdict(self)


def resample_confusion(matrix: NDArray[np.int64], seed: int = SEED) -> NDArray[np.int64]:
    """Bootstrap copies of a confusion matrix: (C, C) counts to (RESAMPLES, C, C) counts.

    Each copy has the same total. `matrix` must count at least one image.
    """
    total = int(matrix.sum())
    draws = np.random.default_rng(seed).multinomial(total, matrix.ravel() / total, size=RESAMPLES)
    return draws.reshape(RESAMPLES, *matrix.shape)


def percentile_estimate(value: float, resampled: NDArray[np.float64], count: int) -> Estimate | None:
    """The estimate of `value` from its bootstrap copies (RESAMPLES,); None where there is nothing to report.

    Nothing to report: `count` is 0 or `value` is NaN. Copies that are NaN (the class was not drawn) are
    left out.
    """
    defined = resampled[np.isfinite(resampled)]
    if count == 0 or not np.isfinite(value) or defined.size == 0:
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high), count)


def mean_estimate(values: NDArray[np.number] | NDArray[np.bool_], seed: int = SEED) -> Estimate | None:
    """The mean of per-image values (N,) with its interval, in their unit; None for no values.

    Exact up to MAX_CELLS distinct values. Beyond, values are first averaged within MAX_CELLS equal slices of
    their range: the mean stays exact, and the variance loses at most (range / MAX_CELLS)^2 / 4, for ages a
    hundredth of a square year. Raises UsageError for values that are not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        return None
    if not np.isfinite(numbers).all():
        raise UsageError("cannot average values that are not finite (NaN or infinite)")
    points, counts = _cells(numbers)
    draws = np.random.default_rng(seed).multinomial(numbers.size, counts / numbers.size, size=RESAMPLES)
    return percentile_estimate(float(numbers.mean()), draws @ points / numbers.size, numbers.size)


def wilson(share: float, number: float, quantile: float = NORMAL_QUANTILE) -> tuple[float, float]:
    """Wilson's interval (1927) of a share, 0 to 1, of `number` independent cases, which need not be whole.

    It is never empty: with no case in 10,000 it reaches to 3.8 in 10,000.
    """
    spread = quantile**2 / number
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def student_quantile(freedom: float) -> float:
    """Student's quantile for two-sided LEVEL, right to 1 % from 2 degrees of freedom on; fewer count as 2.

    The expansion about the normal quantile (Abramowitz and Stegun 1964, 26.7.5).
    """
    x, n = NORMAL_QUANTILE, max(freedom, 2.0)
    return x + sum(
        float(np.polyval(coefficients, x)) / (divisor * n**power)
        for power, (divisor, coefficients) in enumerate(STUDENT_TERMS, start=1)
    )


def _cells(numbers: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    points, counts = np.unique(numbers, return_counts=True)
    if points.size <= MAX_CELLS:
        return points, counts.astype(np.int64)
    low, high = points[0], points[-1]
    cell = np.minimum(((numbers - low) / (high - low) * MAX_CELLS).astype(np.int64), MAX_CELLS - 1)
    counts = np.bincount(cell, minlength=MAX_CELLS)
    sums = np.bincount(cell, weights=numbers, minlength=MAX_CELLS)
    filled = counts > 0
    return sums[filled] / counts[filled], counts[filled].astype(np.int64)
