from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import betabinom

from face_analysis.datasets.lists.label_groups import AGE_BANDS
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.conformal import (
    conformal_quantile,
    interval_coverage,
    measure_intervals,
    measure_intervals_by_age,
)


def test_quantile_is_the_score_of_the_rank_in_exact_fractions():
    rng = np.random.default_rng(0)
    for count in (1, 2, 9, 19, 99, 100, 399):
        scores = rng.normal(size=count).round(1)
        for percent in (1, 7, 50, 55, 80, 90, 95, 99):
            rank = math.ceil((count + 1) * Fraction(percent, 100))
            expected = sorted(scores)[rank - 1] if rank <= count else math.inf
            assert conformal_quantile(scores, percent / 100) == expected, (count, percent)


def test_too_few_scores_promise_nothing():
    assert conformal_quantile(np.arange(8.0), 0.9) == math.inf
    assert conformal_quantile(np.arange(9.0), 0.9) == 8
    assert conformal_quantile(np.array([]), 0.5) == math.inf
    assert conformal_quantile(np.arange(9.0), 1e-12) == 0


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("count", [30, 200])
def test_intervals_scaled_by_the_spread_hold_the_stated_share_of_new_ages(coverage, count):
    """Over many draws, for a spread that is right up to a factor and one that has nothing to do with it."""
    rng = np.random.default_rng(count)
    draws, fresh, held = 400, 200, {"fitting": 0, "foreign": 0}
    for _ in range(draws):
        width = rng.uniform(1, 8, count + fresh)
        errors = np.abs(rng.standard_t(4, count + fresh) * width)
        for name, spread in (("fitting", 0.3 * width), ("foreign", rng.uniform(1, 8, count + fresh))):
            quantile = conformal_quantile(errors[:count] / spread[:count], coverage)
            held[name] += int((errors[count:] <= quantile * spread[count:]).sum())
    # Given one calibration set the number held is beta-binomial (Vovk 2012, arXiv 1209.2673, prop. 2a).
    rank = math.ceil((count + 1) * coverage)
    held_of_a_draw = betabinom(fresh, rank, count + 1 - rank)
    for number in held.values():
        assert held_of_a_draw.mean() >= coverage * fresh - 1e-9
        assert number / draws == pytest.approx(
            held_of_a_draw.mean(), abs=4 * held_of_a_draw.std() / draws**0.5
        )


def test_coverage_counts_known_ages_within_the_ends():
    low, high = np.array([20.0, 20, 20, 20, 0, 0]), np.array([30.0, 30, 30, 30, 100, 100])
    ages = np.array([20, 30, 31, 19, -1, 101])
    assert interval_coverage(low, high, ages) == 0.5
    measures = measure_intervals(low, high, ages)
    assert (measures["coverage"].value, measures["coverage"].count) == (0.5, 4)
    assert (measures["width"].value, measures["width"].count) == (10, 4)


def test_bands_of_age_are_measured_as_a_plain_loop_does():
    rng = np.random.default_rng(1)
    ages = rng.integers(-1, 101, 500)
    ages[(ages >= 30) & (ages < 40)] = -1
    middle, half = ages + rng.normal(0, 6, 500), rng.uniform(2, 12, 500)
    found = measure_intervals_by_age(middle - half, middle + half, ages)
    assert list(found) == [name for name in AGE_BANDS if name != "30-39"]
    for name, measures in found.items():
        first, last = (70, 100) if name == "70+" else map(int, name.split("-"))
        rows = [row for row in range(500) if first <= ages[row] <= last]
        held = sum(abs(ages[row] - middle[row]) <= half[row] for row in rows)
        assert measures["coverage"].count == len(rows)
        assert measures["coverage"].value == pytest.approx(held / len(rows))
        assert measures["width"].value == pytest.approx(sum(2 * half[row] for row in rows) / len(rows))


@pytest.mark.parametrize("coverage", [0, 1, -0.1, float("nan")])
def test_a_coverage_out_of_range_is_refused(coverage):
    with pytest.raises(UsageError, match="between 0 and 1"):
        conformal_quantile(np.arange(9.0), coverage)


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(UsageError, match="row of numbers"):
        conformal_quantile(np.array([1.0, np.nan]), 0.5)


@pytest.mark.parametrize("measure", [interval_coverage, measure_intervals, measure_intervals_by_age])
def test_intervals_that_cannot_be_measured_are_refused(measure):
    with pytest.raises(EmptyDataError, match="no image has a known age"):
        measure(np.zeros(2), np.ones(2), np.array([-1, 101]))
    with pytest.raises(UsageError, match="pair up"):
        measure(np.zeros(2), np.ones(2), np.array([1, 2, 3]))
    with pytest.raises(UsageError, match="low end"):
        measure(np.array([5.0]), np.array([4.0]), np.array([4]))
