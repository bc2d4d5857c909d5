from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from face_analysis.datasets.attributes import RACES
from face_analysis.errors import UsageError
from face_analysis.evaluation.attributes import (
    DECADES,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    evaluate_attribute,
    recall_by_class,
)


def sample(classes, count, seed, present=None):
    rng = np.random.default_rng(seed)
    labels = rng.choice(present if present is not None else classes, count)
    return labels, np.where(rng.random(count) < 0.7, labels, rng.integers(0, classes, count))


@pytest.mark.parametrize("present", [[0, 1, 2, 3, 4], [1, 4], [2]])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8])
def test_confusion_measures_agree_with_scikit_learn(present, dtype):
    labels, predictions = sample(5, 200, 1, present)
    matrix = confusion_matrix(labels.astype(dtype), predictions.astype(dtype), 5)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(labels, predictions, labels=range(5)))
    assert accuracy(matrix) == pytest.approx(sk.accuracy_score(labels, predictions))
    recall = sk.recall_score(labels, predictions, labels=range(5), average=None, zero_division=np.nan)
    np.testing.assert_allclose(recall_by_class(matrix), recall)
    with warnings.catch_warnings():
        # scikit-learn warns of predicted classes that never occur, and leaves them out as we do
        warnings.simplefilter("ignore")
        expected = sk.balanced_accuracy_score(labels, predictions)
    assert balanced_accuracy(matrix) == pytest.approx(expected)


def test_measures_of_a_stack_are_those_of_each_matrix():
    stack = np.random.default_rng(0).integers(0, 9, (6, 3, 3))
    for statistic in (accuracy, balanced_accuracy, recall_by_class):
        np.testing.assert_allclose(statistic(stack), [statistic(matrix) for matrix in stack])


def test_race_metrics_agree_with_scikit_learn_on_the_known_rows():
    labels, predictions = sample(5, 300, 2)
    labels[:20], labels[20:25] = -1, 5
    metrics = evaluate_attribute("race", labels, predictions)
    known, told = labels[25:], predictions[25:]
    assert (metrics.count, metrics.unknown) == (275, 25)
    assert metrics.measures["accuracy"].value == pytest.approx(sk.accuracy_score(known, told))
    assert metrics.measures["balanced_accuracy"].value == pytest.approx(
        sk.balanced_accuracy_score(known, told)
    )
    expected = sk.recall_score(known, told, average=None)
    assert [metrics.recall[name].value for name in RACES] == pytest.approx(list(expected))
    assert [metrics.recall[name].count for name in RACES] == np.bincount(known).tolist()


def test_a_class_that_never_occurs_has_no_recall_and_does_not_lower_balanced_accuracy():
    labels, predictions = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0])
    metrics = evaluate_attribute("race", labels, predictions)
    assert set(metrics.recall) == {"caucasian", "african-american"}
    assert metrics.measures["balanced_accuracy"].value == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_age_metrics_agree_with_scikit_learn_and_a_plain_loop():
    rng = np.random.default_rng(3)
    labels = rng.integers(-1, 102, 800)
    predictions = np.round(np.clip(labels + rng.normal(0, 7, 800), 0, 100), 2)
    metrics = evaluate_attribute("age", labels, predictions)
    known = [(int(t), float(p)) for t, p in zip(labels, predictions, strict=True) if 0 <= t <= 100]
    assert (metrics.count, metrics.unknown) == (len(known), 800 - len(known))
    mae = sk.mean_absolute_error(*zip(*known, strict=True))
    assert metrics.measures["mae"].value == pytest.approx(mae)
    close = sum(abs(t - p) <= 5 for t, p in known) / len(known)
    assert metrics.measures["within_5"].value == pytest.approx(close)
    for name in DECADES:
        first, last = map(int, name.split("-"))
        errors = [abs(t - p) for t, p in known if first <= t <= last]
        assert metrics.mae_by_decade[name].value == pytest.approx(sum(errors) / len(errors))
        assert metrics.mae_by_decade[name].count == len(errors)


def test_five_years_off_counts_as_close_and_a_hundredth_more_does_not():
    labels = np.array([30, 30, 30, 30])
    metrics = evaluate_attribute("age", labels, np.array([35.0, 25.0, 35.01, 24.99]))
    assert metrics.measures["within_5"].value == 0.5


def test_a_hundred_years_belong_to_the_last_decade():
    metrics = evaluate_attribute("age", np.array([100, 90, 89]), np.array([90.0, 90.0, 80.0]))
    assert metrics.mae_by_decade["90-100"].value == 5
    assert list(metrics.mae_by_decade) == ["80-89", "90-100"]


@pytest.mark.parametrize("attribute", ["race", "gender", "age"])
def test_all_labels_unknown_leaves_no_measure(attribute):
    metrics = evaluate_attribute(attribute, np.full(4, -1), np.zeros(4, dtype=np.int64))
    assert (metrics.count, metrics.unknown) == (0, 4)
    assert metrics.measures == metrics.recall == metrics.mae_by_decade == {}
    json.dumps(metrics.to_dict(), allow_nan=False)


def test_a_single_image_is_reported_with_its_count_of_one():
    metrics = evaluate_attribute("gender", np.array([1]), np.array([1]))
    estimate = metrics.measures["accuracy"]
    assert (estimate.value, estimate.low, estimate.high, estimate.count) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("attribute", "labels", "predictions", "message"),
    [
        ("race", [0, 1], [0], "pair up"),
        ("race", [0, 1], [0, 5], "0 to 4"),
        ("gender", [0, 1], [0, -1], "0 to 1"),
        ("age", [10, 20], [10.0, float("nan")], "finite"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(attribute, labels, predictions, message):
    with pytest.raises(UsageError, match=message):
        evaluate_attribute(attribute, np.array(labels), np.array(predictions))
