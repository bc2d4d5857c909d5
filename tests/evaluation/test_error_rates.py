from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.error_rates import at_fmr, at_threshold, d_prime, equal_error_rate, rates_curve
from face_analysis.evaluation.intervals import wilson

Scores = NDArray[np.float64]
CASES = ["apart", "mixed", "ties", "one each", "all equal", "swapped"]


def scores(case: str) -> tuple[Scores, Scores]:
    generator = np.random.default_rng(0)
    if case == "one each":
        return np.array([0.5]), np.array([0.4])
    if case == "all equal":
        return np.full(5, 0.3), np.full(7, 0.3)
    means = {"apart": (0.9, 0.1), "mixed": (0.5, 0.3), "ties": (0.5, 0.3), "swapped": (0.2, 0.5)}[case]
    mated, non_mated = generator.normal(means[0], 0.1, 300), generator.normal(means[1], 0.1, 2000)
    return (mated.round(1), non_mated.round(1)) if case == "ties" else (mated, non_mated)


def plain_rates(mated: Scores, non_mated: Scores, threshold: float) -> tuple[float, float]:
    fmr = sum(score >= threshold for score in non_mated.tolist()) / len(non_mated)
    fnmr = sum(score < threshold for score in mated.tolist()) / len(mated)
    return fmr, fnmr


@pytest.mark.parametrize("case", CASES)
def test_the_curve_holds_every_point_of_scikit_learns(case: str) -> None:
    mated, non_mated = scores(case)
    curve = rates_curve(mated, non_mated)
    truth = np.concatenate([np.ones(len(mated)), np.zeros(len(non_mated))])
    fpr, tpr, thresholds = roc_curve(truth, np.concatenate([mated, non_mated]), drop_intermediate=False)
    np.testing.assert_allclose(curve.fmr[::-1], fpr, atol=1e-12)
    np.testing.assert_allclose(1 - curve.fnmr[::-1], tpr, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds[:-1][::-1], thresholds[1:])
    assert (curve.mated, curve.non_mated) == (len(mated), len(non_mated))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("asked", [1.0, 0.1, 0.01, 0.001])
def test_an_operating_point_has_the_lowest_threshold_with_so_few_false_matches(
    case: str, asked: float
) -> None:
    mated, non_mated = scores(case)
    point = at_fmr(rates_curve(mated, non_mated), asked)
    fmr, fnmr = plain_rates(mated, non_mated, point.threshold)
    assert (point.fmr, point.fnmr) == (pytest.approx(fmr), pytest.approx(fnmr))
    assert fmr <= asked + 1e-12
    lower = [score for score in (*mated, *non_mated) if score < point.threshold]
    if lower:
        assert plain_rates(mated, non_mated, max(lower))[0] > asked
    assert point.supported == (len(non_mated) * asked >= 10)


@pytest.mark.parametrize("case", ["mixed", "ties", "swapped"])
def test_the_equal_error_rate_is_where_the_lines_of_the_curve_cross(case: str) -> None:
    mated, non_mated = scores(case)
    curve = rates_curve(mated, non_mated)
    places = np.arange(len(curve.fmr))

    def gap(place: float) -> float:
        return float(np.interp(place, places, curve.fnmr) - np.interp(place, places, curve.fmr))

    crossing = brentq(gap, 0, len(places) - 1, xtol=1e-12)
    assert equal_error_rate(curve) == pytest.approx(np.interp(crossing, places, curve.fmr), abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_the_rates_at_any_threshold_are_those_of_a_loop(case: str) -> None:
    mated, non_mated = scores(case)
    curve = rates_curve(mated, non_mated)
    for threshold in (-2.0, 0.3, 0.4, 0.31415, float(mated.max()), 2.0):
        found = at_threshold(curve, threshold)
        assert (found.fmr.value, found.fnmr.value) == pytest.approx(plain_rates(mated, non_mated, threshold))
        assert (found.fmr.low, found.fmr.high) == wilson(found.fmr.value, len(non_mated))
        assert (found.fnmr.low, found.fnmr.high) == wilson(found.fnmr.value, len(mated))


def test_equal_error_rates_at_the_ends() -> None:
    assert equal_error_rate(rates_curve(*scores("apart"))) == 0
    assert equal_error_rate(rates_curve(np.full(4, 0.3), np.full(4, 0.3))) == 0.5
    assert equal_error_rate(rates_curve(np.array([0.1]), np.array([0.9]))) == pytest.approx(1.0)


def test_d_prime_is_the_distance_of_the_means_in_standard_deviations() -> None:
    mated, non_mated = scores("mixed")
    expected = abs(mated.mean() - non_mated.mean()) / math.sqrt((mated.std() ** 2 + non_mated.std() ** 2) / 2)
    assert d_prime(mated, non_mated) == pytest.approx(expected)


@pytest.mark.parametrize("distance", [0, 1])
@pytest.mark.parametrize("noise", [0, 6e-8])
def test_scores_without_spread_have_no_d_prime(distance: float, noise: float) -> None:
    scores = 0.5 + noise * np.array([-1, 0, 1])
    assert d_prime(scores + distance, scores) is None


def test_figures_of_pairs_of_one_kind_alone_are_not_known() -> None:
    some, none = np.array([0.1, 0.7]), np.array([])
    mated, non_mated = rates_curve(some, none), rates_curve(none, some)
    assert (mated.lacking, non_mated.lacking) == ("no non-mated pairs", "no mated pairs")
    for curve in (mated, non_mated):
        assert equal_error_rate(curve) is None
    np.testing.assert_allclose(mated.fnmr, [0, 0.5, 1])
    np.testing.assert_allclose(non_mated.fmr, [1, 0.5, 0])
    assert np.isnan(mated.fmr).all()
    assert np.isnan(non_mated.fnmr).all()
    point = at_fmr(mated, 0.1)
    assert point.threshold is point.fmr is point.fnmr is None
    assert (point.supported, point.unsupported) == (False, "no non-mated pairs")
    point = at_fmr(non_mated, 0.5)
    assert (point.threshold, point.fmr, point.fnmr) == (0.7, 0.5, None)
    assert d_prime(some, none) is d_prime(none, some) is None
    assert (at_threshold(mated, 0.5).fmr, at_threshold(non_mated, 0.5).fnmr) == (None, None)
    assert at_threshold(mated, 0.5).to_dict()["fmr_reason"] == "no non-mated pairs"


def test_a_rate_says_how_many_pairs_it_would_need() -> None:
    curve = rates_curve(np.ones(5), np.linspace(0, 0.5, 99))
    assert at_fmr(curve, 0.1).unsupported == "99 non-mated pairs, where 100 are needed"
    assert at_fmr(rates_curve(np.ones(5), np.linspace(0, 0.5, 100)), 0.1).unsupported == ""


def test_wrong_input_is_named() -> None:
    good = np.array([0.1, 0.2])
    with pytest.raises(EmptyDataError, match="no pairs"):
        rates_curve(np.array([]), np.array([]))
    with pytest.raises(UsageError, match="1 of the non-mated scores"):
        rates_curve(good, np.array([0.3, np.nan]))
    with pytest.raises(UsageError, match="false match rate of 0"):
        at_fmr(rates_curve(good, good), 0)
