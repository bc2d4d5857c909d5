"""Intervals of error rates at a fixed threshold, where the pairs of a set share people.

A person who is easily mistaken is so in all of their pairs, so the pairs are not independent, and an interval
that takes them to be is far too narrow. Here people are: the variance is what leaving out one person after
the other shows (jackknife). A non-mated pair is left out with either of its people, so that what would
remain if pairs were independent is in it twice, and is taken off once (the dyadic cluster-robust variance of
Aronow, Samii and Assenova, Political Analysis 2015, with each pair of images as a dyad: a little too wide
where several images of two people match alike). The variance says how many independent pairs would be as
uncertain. For as many Wilson's interval is taken, as Fogliato, Patil and Perona (IJCV 2024) find best, with
Student's quantile for how well the variance itself is known (Satterthwaite 1946).

Where no pair or every pair is in error, a pair of people counts once, however many images they have. How
often these intervals hold the truth is in results/interval_coverage.csv.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.evaluation.intervals import Estimate, student_quantile, wilson

Numbers = NDArray[np.number[Any]]


def fmr_estimate(false_matches: Numbers, pairs: Numbers) -> Estimate | None:
    """The false match rate with its interval; None without non-mated pairs.

    `pairs` (S,) are the non-mated pairs of each person, `false_matches` (S,) those of them that match; a pair
    counts for both of its people. Where one person is in every pair the interval is 0 to 1.
    """
    people = _effective(pairs)
    return _estimate(false_matches, pairs, 2, people * (people - 1) / 2)


def fnmr_estimate(false_non_matches: Numbers, pairs: Numbers) -> Estimate | None:
    """The false non-match rate with its interval; None without mated pairs.

    `pairs` (S,) are the mated pairs of each person, `false_non_matches` (S,) those of them that do not match.
    With one person the interval is 0 to 1.
    """
    return _estimate(false_non_matches, pairs, 1, _effective(pairs))


def _effective(pairs: Numbers) -> float:
    """How many people with equally many pairs would be worth as much (Kish 1965)."""
    counts = pairs.astype(np.float64)
    return float(counts.sum() ** 2 / max(counts @ counts, 1.0))


def _estimate(errors: Numbers, pairs: Numbers, people_of_a_pair: int, independent: float) -> Estimate | None:
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
