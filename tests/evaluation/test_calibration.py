from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import betabinom
from sklearn.metrics import log_loss

from face_analysis.datasets.attributes import AGE_BANDS
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.calibration import (
    calibration_error,
    conformal_quantile,
    fit_temperature,
    interval_coverage,
    measure_intervals,
    measure_intervals_by_age,
    reliability,
)


def draw(count, classes, scale=1.0, seed=0):
    """Logits, and labels drawn from the softmax of the logits over `scale`, the temperature they need."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, classes))
    shares = softmax(logits, axis=1)
    labels = (shares.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return scale * logits, labels


def scipys_temperature(logits, labels):
    classes = range(logits.shape[1])

    def loss(log_temperature):
        return log_loss(labels, softmax(logits / np.exp(log_temperature), axis=1), labels=classes)

    found = minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))


@pytest.mark.parametrize(("classes", "scale"), [(2, 0.3), (2, 1), (5, 1), (5, 3), (5, 12)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_temperature_is_the_one_scipy_finds_for_scikit_learns_log_loss(classes, scale, dtype):
    logits, labels = draw(500, classes, scale, seed=classes)
    found = fit_temperature(logits.astype(dtype), labels)
    assert found == pytest.approx(scipys_temperature(logits, labels), rel=1e-4)


def test_logits_that_are_three_times_too_sure_have_a_temperature_near_3():
    assert fit_temperature(*draw(20_000, 5, scale=3)) == pytest.approx(3, rel=0.03)


def test_unknown_labels_and_a_number_added_to_a_row_change_no_temperature():
    logits, labels = draw(400, 5)
    expected = fit_temperature(logits[100:], labels[100:])
    labels[:50], labels[50:100] = -1, 5
    shifted = logits + np.random.default_rng(1).normal(0, 100, (400, 1))
    assert fit_temperature(shifted, labels) == pytest.approx(expected, rel=1e-9)


def test_a_best_temperature_beyond_the_range_gives_its_end():
    logits = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, np.array([0, 0, 1])) == pytest.approx(0.05)
    assert fit_temperature(logits, np.array([1, 1, 0])) == pytest.approx(20)
    assert np.isfinite(fit_temperature(1e4 * logits, np.array([1, 0, 1])))


def error_by_a_loop(probabilities, labels, bins):
    """Guo et al. 2017, eq. 2, 3 and 5, image by image."""
    total, known = 0.0, sum(label >= 0 for label in labels)
    for number in range(bins):
        confidence = accuracy = size = 0
        for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
            if label >= 0 and number / bins < max(row) <= (number + 1) / bins:
                size += 1
                confidence += max(row)
                accuracy += row.index(max(row)) == label
        if size:
            total += size / known * abs(accuracy / size - confidence / size)
    return total


@pytest.mark.parametrize("bins", [1, 4, 15])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_calibration_error_equals_a_plain_loop(bins, dtype):
    logits, labels = draw(300, 5, scale=2)
    labels[::7] = -1
    probabilities = softmax(logits, axis=1).astype(dtype)
    assert calibration_error(probabilities, labels, bins) == pytest.approx(
        error_by_a_loop(probabilities, labels, bins), rel=1e-6
    )


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0], [0.751, 0.249]])
    bins = reliability(probabilities, np.array([0, 0, 0, 1]), bins=4)
    assert bins.count.tolist() == [0, 1, 1, 2]
    np.testing.assert_allclose(bins.confidence, [np.nan, 0.5, 0.75, (1 + 0.751) / 2])
    np.testing.assert_allclose(bins.accuracy, [np.nan, 1, 1, 0.5])
    assert bins.error == pytest.approx((0.5 + 0.25 + 2 * abs(0.5 - 0.8755)) / 4)


def test_calibrated_probabilities_have_a_small_error_and_overconfident_ones_the_gap():
    logits, labels = draw(50_000, 5)
    assert calibration_error(softmax(logits, axis=1), labels) < 0.01
    sure = softmax(3 * logits, axis=1)
    gap = sure.max(axis=1).mean() - (sure.argmax(axis=1) == labels).mean()
    assert gap > 0.1
    assert calibration_error(sure, labels) == pytest.approx(gap, rel=0.02)


def test_the_fitted_temperature_takes_the_error_away():
    logits, labels = draw(20_000, 5, scale=3)
    temperature = fit_temperature(logits[:10_000], labels[:10_000])
    rest = logits[10_000:], labels[10_000:]
    assert calibration_error(softmax(rest[0], axis=1), rest[1]) > 0.1
    assert calibration_error(softmax(rest[0] / temperature, axis=1), rest[1]) < 0.02


@pytest.mark.parametrize("measure", [fit_temperature, calibration_error, reliability])
def test_without_a_known_label_there_is_nothing_to_calibrate_on(measure):
    for count in (0, 3):
        with pytest.raises(EmptyDataError, match="no image has a known label"):
            measure(np.full((count, 2), 0.5), np.full(count, -1))


@pytest.mark.parametrize(
    ("measure", "values", "labels", "message"),
    [
        (fit_temperature, [[0.0, 1.0]], [0, 1], "pair up"),
        (fit_temperature, [0.0, 1.0], [0, 1], "pair up"),
        (fit_temperature, [[0.0, np.inf]], [0], "finite"),
        (calibration_error, [[0.5, 0.5]], [0, 1], "pair up"),
        (calibration_error, [[1.5, -0.5]], [0], "0 to 1"),
        (calibration_error, [[np.nan, 0.5]], [0], "0 to 1"),
    ],
)
def test_input_that_cannot_be_used_is_refused(measure, values, labels, message):
    with pytest.raises(UsageError, match=message):
        measure(np.array(values), np.array(labels))


def test_no_bins_are_refused():
    with pytest.raises(UsageError, match="0 bins"):
        calibration_error(np.array([[0.5, 0.5]]), np.array([0]), bins=0)


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
