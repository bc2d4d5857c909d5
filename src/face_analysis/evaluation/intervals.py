"""95 % intervals: bootstrap over images, Wilson's, and those of error rates whose pairs share people.

**Bootstrap.** Drawing N images with replacement and counting them by kind is one multinomial draw over the
kinds, so the bootstrap of anything that depends on counts alone needs only the counts: neither its time nor
its memory grows with the images. Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
A percentile interval is too narrow for a handful of images, and has no width where every image agrees (all
right or all wrong): read it together with its count.

**Rates at a fixed threshold.** A person who is easily mistaken is so in all of their pairs, so the pairs are
not independent, and an interval that takes them to be is far too narrow. Here people are: the variance is
what leaving out one person after the other shows (jackknife). A non-mated pair is left out with either of its
people, so that what would remain if pairs were independent is in it twice, and is taken off once (the dyadic
cluster-robust variance of Aronow, Samii and Assenova, Political Analysis 2015, with each pair of images as a
dyad: a little too wide where several images of two people match alike). The variance says how many
independent pairs would be as uncertain. For as many Wilson's interval is taken, as Fogliato, Patil and Perona
(IJCV 2024) find best, with Student's quantile for how well the variance itself is known (Satterthwaite 1946).
Where no pair or every pair is in error, a pair of people counts once, however many images they have. How
often these intervals hold the truth is in results/interval_coverage.csv.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import UsageError

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0
MAX_CELLS = 512
NORMAL_QUANTILE = NormalDist().inv_cdf((1 + LEVEL) / 2)
Numbers = NDArray[np.number[Any]]


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


def wilson(rate: float, number: float, quantile: float = NORMAL_QUANTILE) -> tuple[float, float]:
    """Wilson's interval (1927) of a rate, 0 to 1, of `number` independent cases, which need not be whole.

    It is never empty: with no case in 10,000 it reaches to 3.8 in 10,000.
    """
    spread = quantile**2 / number
    middle = (rate + spread / 2) / (1 + spread)
    half = math.sqrt(rate * (1 - rate) * spread + spread**2 / 4) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def student_quantile(freedom: float) -> float:
    """Student's quantile for two-sided LEVEL; fewer than 2 degrees of freedom count as 2."""
    from scipy.special import stdtrit

    return float(stdtrit(max(freedom, 2.0), (1 + LEVEL) / 2))


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


def fmr_estimate(false_matches: Numbers, pairs: Numbers) -> Estimate | None:
    """The false match rate with its interval; None without non-mated pairs.

    `pairs` (S,) are the non-mated pairs of each person, `false_matches` (S,) those of them that match; a pair
    counts for both of its people. Where one person is in every pair the interval is 0 to 1.
    """
    people = _effective(pairs)
    return _rate_estimate(false_matches, pairs, 2, people * (people - 1) / 2)


def fnmr_estimate(false_non_matches: Numbers, pairs: Numbers) -> Estimate | None:
    """The false non-match rate with its interval; None without mated pairs.

    `pairs` (S,) are the mated pairs of each person, `false_non_matches` (S,) those of them that do not match.
    With one person the interval is 0 to 1.
    """
    return _rate_estimate(false_non_matches, pairs, 1, _effective(pairs))


def _effective(pairs: Numbers) -> float:
    """How many people with equally many pairs would be worth as much (Kish 1965)."""
    counts = pairs.astype(np.float64)
    return float(counts.sum() ** 2 / max(counts @ counts, 1.0))


def _rate_estimate(
    errors: Numbers, pairs: Numbers, people_of_a_pair: int, independent: float
) -> Estimate | None:
    """From errors and pairs by person; so many pairs are `independent` where all or none is in error."""
    errors, pairs = errors[pairs > 0], pairs[pairs > 0]
    total = float(pairs.sum()) / people_of_a_pair
    if total == 0:
        return None
    rate, count = float(errors.sum()) / people_of_a_pair / total, round(total)
    if pairs.max() >= total:
        return Estimate(rate, 0.0, 1.0, count)
    if rate in (0, 1):
        return Estimate(rate, *wilson(rate, independent), count)
    parts = ((errors - rate * pairs) / (1 - pairs / total)) ** 2
    if_independent = rate * (1 - rate) * total
    variance = max(float(parts.sum()) - (people_of_a_pair - 1) * if_independent, if_independent)
    scatter = float(((parts - parts.mean()) ** 2).sum())
    known = 2 * float(parts.sum()) ** 2 / scatter if scatter > 0 else np.inf
    freedom = min(len(pairs) - 1, known)
    return Estimate(rate, *wilson(rate, if_independent * total / variance, student_quantile(freedom)), count)
