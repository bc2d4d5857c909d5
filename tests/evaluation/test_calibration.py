from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss

from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.calibration import calibration_error, fit_temperature, reliability


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
