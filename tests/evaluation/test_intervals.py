from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import balanced_accuracy_score

from face_analysis.errors import UsageError
from face_analysis.evaluation.attributes import accuracy, balanced_accuracy, confusion_matrix
from face_analysis.evaluation.intervals import (
    MAX_CELLS,
    RESAMPLES,
    mean_estimate,
    percentile_estimate,
    resample_confusion,
)


def interval_of(matrix, statistic, seed=0):
    copies = statistic(resample_confusion(matrix, seed))
    return percentile_estimate(float(statistic(matrix)), copies, int(matrix.sum()))


def scipy_interval(statistic, *data, **options):
    found = bootstrap(data, statistic, method="percentile", rng=np.random.default_rng(5), **options)
    return found.confidence_interval.low, found.confidence_interval.high


@pytest.mark.parametrize("count", [20, 400, 5000])
def test_interval_of_a_mean_agrees_with_scipy(count):
    values = np.abs(np.random.default_rng(count).normal(0, 6, count))
    ours = mean_estimate(values)
    low, high = scipy_interval(np.mean, values, n_resamples=4000)
    assert ours.value == pytest.approx(values.mean(), rel=1e-12)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_interval_of_accuracy_agrees_with_scipy():
    labels = np.random.default_rng(1).integers(0, 3, 500)
    predictions = np.where(np.random.default_rng(2).random(500) < 0.8, labels, 0)
    ours = interval_of(confusion_matrix(labels, predictions, 3), accuracy)
    low, high = scipy_interval(np.mean, (labels == predictions).astype(float), n_resamples=4000)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_interval_of_balanced_accuracy_agrees_with_scipy():
    labels = np.random.default_rng(1).choice(3, 300, p=[0.7, 0.2, 0.1])
    predictions = np.where(np.random.default_rng(2).random(300) < 0.75, labels, 0)
    ours = interval_of(confusion_matrix(labels, predictions, 3), balanced_accuracy)
    low, high = scipy_interval(
        balanced_accuracy_score, labels, predictions, paired=True, vectorized=False, n_resamples=1000
    )
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.12 * (high - low))


def test_intervals_hold_the_true_mean_about_19_times_in_20():
    rng = np.random.default_rng(3)
    held = 0
    for repetition in range(300):
        sample = mean_estimate(rng.gamma(4.0, 1.5, 100), seed=repetition)
        held += sample.low <= 6.0 <= sample.high
    assert 0.92 <= held / 300 <= 0.98


@pytest.mark.parametrize(("statistic", "truth"), [(accuracy, 0.82), (balanced_accuracy, 0.8)])
def test_intervals_hold_the_true_accuracy_about_19_times_in_20(statistic, truth):
    cells = np.array([[0.54, 0.06], [0.12, 0.28]])  # recalls 0.9 and 0.7
    rng = np.random.default_rng(4)
    held = 0
    for repetition in range(400):
        matrix = rng.multinomial(400, cells.ravel()).reshape(2, 2)
        sample = interval_of(matrix, statistic, seed=repetition)
        held += sample.low <= truth <= sample.high
    assert 0.92 <= held / 400 <= 0.98


def test_every_resample_counts_as_many_images_and_fills_no_empty_cell():
    matrix = np.array([[50, 3, 0], [0, 0, 0], [7, 0, 40]])
    copies = resample_confusion(matrix)
    assert copies.shape == (RESAMPLES, 3, 3)
    assert set(copies.sum(axis=(1, 2)).tolist()) == {100}
    assert not copies[:, matrix == 0].any()


def test_averaging_within_slices_hardly_moves_the_interval():
    values = np.abs(np.random.default_rng(8).normal(0, 6, 3000))
    assert np.unique(values).size > MAX_CELLS
    sums = np.random.default_rng(9).choice(values, size=(4000, 3000)).mean(axis=1)
    ours = mean_estimate(values)
    assert (ours.high - ours.low) == pytest.approx(np.diff(np.quantile(sums, [0.025, 0.975]))[0], rel=0.06)


def test_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.arange(50.0)
    assert mean_estimate(values, seed=1) == mean_estimate(values, seed=1)
    assert mean_estimate(values, seed=1) != mean_estimate(values, seed=2)


def test_a_single_value_and_equal_values_have_an_interval_without_width():
    for values in (np.array([3.5]), np.full(9, 3.5)):
        estimate = mean_estimate(values)
        assert (estimate.low, estimate.value, estimate.high) == (3.5, 3.5, 3.5)
        assert estimate.count == values.size


def test_nothing_to_report_is_none_not_nan():
    assert mean_estimate(np.array([])) is None
    assert percentile_estimate(float("nan"), np.array([0.5]), 3) is None
    assert percentile_estimate(0.5, np.array([np.nan]), 3) is None
    assert percentile_estimate(0.5, np.array([0.5]), 0) is None


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(UsageError, match="finite"):
        mean_estimate(np.array([1.0, np.nan]))


def test_a_million_values_need_little_memory():
    values = np.random.default_rng(0).random(1_000_000)
    tracemalloc.start()
    estimate = mean_estimate(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std() / 1000, rel=0.1)
    assert peak < 100e6
