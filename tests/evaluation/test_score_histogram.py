from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from face_analysis.errors import EmptyDataError
from face_analysis.evaluation.error_rates import at_fmr, d_prime, equal_error_rate, rates_curve
from face_analysis.evaluation.score_histogram import (
    BIN_WIDTH,
    BINS,
    ScoreHistogram,
    binning_error,
    curve_of,
    d_prime_of,
)

Scores = NDArray[np.float64]
CASES = ["apart", "mixed", "narrow", "one each", "ends"]


def scores(case: str) -> tuple[Scores, Scores]:
    generator = np.random.default_rng(0)
    if case == "one each":
        return np.array([0.51234]), np.array([0.41234])
    if case == "ends":
        return np.array([-1.0, 0.0, 1.0]), np.array([-1.0, -1.0, 0.5, 1.0])
    mated, non_mated, spread = {"apart": (0.8, 0.1, 0.04), "mixed": (0.4, 0.1, 0.1)}.get(
        case, (0.3002, 0.3, 2e-4)
    )
    return generator.normal(mated, spread, 3000), generator.normal(non_mated, spread, 20_000)


def histogram(mated: Scores, non_mated: Scores) -> ScoreHistogram:
    counts = [np.histogram(values, BINS, (-1, 1))[0].astype(np.int64) for values in (mated, non_mated)]
    return ScoreHistogram(*counts)


@pytest.mark.parametrize("case", CASES)
def test_the_rates_at_the_edges_are_scikit_learns(case: str) -> None:
    mated, non_mated = scores(case)
    curve = curve_of(histogram(mated, non_mated))
    truth = np.concatenate([np.ones(len(mated)), np.zeros(len(non_mated))])
    fpr, tpr, thresholds = roc_curve(truth, np.concatenate([mated, non_mated]), drop_intermediate=False)
    # At an edge the pairs that match are those of the lowest score not under it.
    place = np.searchsorted(-thresholds[1:], -curve.thresholds, side="right")
    np.testing.assert_allclose(curve.fmr, fpr[place], atol=1e-12)
    np.testing.assert_allclose(curve.fnmr, 1 - tpr[place], atol=1e-12)
    assert (curve.mated, curve.non_mated) == (len(mated), len(non_mated))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("asked", [1.0, 0.1, 0.01, 0.001])
def test_an_operating_point_is_within_a_bin_of_the_exact_one(case: str, asked: float) -> None:
    mated, non_mated = scores(case)
    counts = histogram(mated, non_mated)
    exact, ours = at_fmr(rates_curve(mated, non_mated), asked), at_fmr(curve_of(counts), asked)
    fmr_error, fnmr_error = binning_error(counts, ours.threshold)
    assert ours.threshold - exact.threshold <= BIN_WIDTH + 1e-9
    assert -1e-12 <= exact.fmr - ours.fmr <= fmr_error + 1e-12
    assert -1e-12 <= ours.fnmr - exact.fnmr <= fnmr_error + 1e-12
    assert ours.supported == exact.supported


@pytest.mark.parametrize("case", CASES)
def test_the_equal_error_rate_is_within_its_bound(case: str) -> None:
    mated, non_mated = scores(case)
    counts = histogram(mated, non_mated)
    curve = curve_of(counts)
    crossing = float(curve.thresholds[np.argmax(curve.fnmr >= curve.fmr)])
    bound = min(binning_error(counts, crossing))
    assert abs(equal_error_rate(curve) - equal_error_rate(rates_curve(mated, non_mated))) <= bound + 1e-12


@pytest.mark.parametrize("case", CASES)
def test_d_prime_lies_between_its_bounds(case: str) -> None:
    mated, non_mated = scores(case)
    found, exact = d_prime_of(histogram(mated, non_mated)), d_prime(mated, non_mated)
    if case == "one each":
        assert found is exact is None
        return
    assert found is not None
    assert exact is not None
    value, low, high = found
    assert math.isfinite(high)
    assert low <= exact <= high
    assert low <= value <= high
    if case == "mixed":
        assert high - low < 0.01 * value


@pytest.mark.parametrize("off", [0, 1])
def test_scores_that_spread_less_than_a_bin_have_no_d_prime(off: int) -> None:
    mated, non_mated = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    mated[[15_000, 15_000 + off]] += 5  # rounding puts equal embeddings into two bins
    non_mated[[9_000, 9_000 + off]] += 5
    assert d_prime_of(ScoreHistogram(mated, non_mated)) is None


def test_without_pairs_of_a_kind_the_rates_of_the_other_kind_alone_are_known() -> None:
    none, some = np.zeros(BINS, np.int64), np.ones(BINS, np.int64)
    curve = curve_of(ScoreHistogram(none, some))
    assert np.isnan(curve.fnmr).all()
    np.testing.assert_allclose(curve.fmr, np.arange(BINS, -1, -1) / BINS)
    curve = curve_of(ScoreHistogram(some, none))
    assert np.isnan(curve.fmr).all()
    np.testing.assert_allclose(curve.fnmr, np.arange(BINS + 1) / BINS)
    for counts, lacking in ((ScoreHistogram(none, some), "mated"), (ScoreHistogram(some, none), "non-mated")):
        curve = curve_of(counts)
        assert curve.lacking == f"no {lacking} pairs"
        assert d_prime_of(counts) is equal_error_rate(curve) is None
    with pytest.raises(EmptyDataError, match="no pairs"):
        curve_of(ScoreHistogram(none, none))
