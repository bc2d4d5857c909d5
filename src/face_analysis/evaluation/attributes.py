"""How well race, gender and age are predicted: pure measures, and all of them for one attribute at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import CLASS_NAMES, MAX_AGE, Attribute, known
from face_analysis.errors import UsageError
from face_analysis.evaluation.intervals import (
    SEED,
    Estimate,
    mean_estimate,
    percentile_estimate,
    resample_confusion,
)
from face_analysis.json_files import with_reasons

CLOSE_YEARS = 5
DECADES = (*(f"{start}-{start + 9}" for start in range(0, 90, 10)), f"90-{MAX_AGE}")

NO_LABEL, NO_IMAGE = "no image has a known label", "no image of it"

Measures = dict[str, Estimate]
"""Estimates by name: `accuracy` and `balanced_accuracy` (0 to 1), `mae` (years), `within_5` (0 to 1)."""


@dataclass(frozen=True)
class AttributeMetrics:
    """The measures of one attribute over the images whose label is known.

    `count` images were used, `unknown` left out for a label outside the range. With no image used, `measures`
    is empty. `recall` holds a class each (race and gender), `mae_by_decade` a decade of true age each (age);
    classes and decades without images are absent. `confusion` (C, C) counts images by true class (row) and
    predicted class (column).
    """

    attribute: Attribute
    count: int
    unknown: int
    measures: Measures
    recall: dict[str, Estimate] = field(default_factory=dict)
    mae_by_decade: dict[str, Estimate] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and finite numbers, for JSON; holds `confusion` only for race and gender.

        A measure, class or decade without an image is None, with the reason beside it.
        """
        result: dict[str, Any] = {"count": self.count, "unknown": self.unknown}
        reason = NO_IMAGE if self.count else NO_LABEL
        for name, keys in self._names().items():
            found: Measures = getattr(self, name)
            estimates = {key: found[key].to_dict() if key in found else None for key in keys}
            result[name] = with_reasons(estimates, dict.fromkeys(keys, reason))
        if self.confusion is not None:
            result["confusion"] = self.confusion.tolist()
        return result

    def _names(self) -> dict[str, tuple[str, ...]]:
        if self.attribute == "age":
            return {"measures": ("mae", "within_5"), "recall": (), "mae_by_decade": DECADES}
        classes = CLASS_NAMES[self.attribute]
        return {"measures": ("accuracy", "balanced_accuracy"), "recall": classes, "mae_by_decade": ()}


def confusion_matrix(
    labels: NDArray[np.integer], predictions: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """Counts of images (classes, classes), row the true class and column the predicted, from codes (N,).

    Raises UsageError where the lengths differ or a code is outside 0 ... classes - 1.
    """
    _check_lengths(labels, predictions)
    for what, codes in (("label", labels), ("prediction", predictions)):
        if codes.size and (codes.min() < 0 or codes.max() >= classes):
            raise UsageError(f"{what} codes must be 0 to {classes - 1}; found {codes.min()} to {codes.max()}")
    flat = labels.astype(np.int64) * classes + predictions.astype(np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def accuracy(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Fraction of images predicted right, 0 to 1, of matrices (..., C, C); NaN for one without images."""
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)))


def recall_by_class(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """The fraction of each true class predicted right, (..., C, C) to (..., C); NaN without images."""
    return _ratio(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1))


def balanced_accuracy(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean recall over the classes that occur, (..., C, C) to (...); NaN for a matrix without images."""
    return _ratio(np.nansum(recall_by_class(matrix), axis=-1), (matrix.sum(axis=-1) > 0).sum(axis=-1))


def measure_confusion(matrix: NDArray[np.int64], seed: int = SEED) -> Measures:
    """Accuracy and balanced accuracy of a confusion matrix (C, C); empty for one without images."""
    return _confusion_estimates(matrix, seed)[0]


def measure_age(errors: NDArray[np.float64], seed: int = SEED) -> Measures:
    """Mean absolute error (years) and fraction within 5 years of absolute errors (N,); empty for none."""
    found = {"mae": mean_estimate(errors, seed), "within_5": mean_estimate(errors <= CLOSE_YEARS, seed)}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def absolute_errors(ages: NDArray[np.integer], predicted: NDArray[np.number]) -> NDArray[np.float64]:
    """Absolute differences (N,) in years; UsageError where lengths differ or a prediction is not finite."""
    _check_lengths(ages, predicted)
    if not np.isfinite(predicted).all():
        raise UsageError("age predictions must be finite numbers (years)")
    return np.abs(predicted.astype(np.float64) - ages)


def decade(ages: NDArray[np.integer]) -> NDArray[np.int64]:
    """Index into DECADES of ages 0 to 100; the last decade holds 100 too."""
    return np.minimum(ages.astype(np.int64) // 10, len(DECADES) - 1)


def evaluate_attribute(
    attribute: Attribute, labels: NDArray[np.integer], predictions: NDArray[np.number], seed: int = SEED
) -> AttributeMetrics:
    """Every measure of one attribute from label codes or ages (N,) and predicted codes or ages (N,).

    Images whose label is outside the attribute's range are left out and counted. Raises UsageError where
    lengths differ, a predicted code is outside its range, or a predicted age is not finite.
    """
    _check_lengths(labels, predictions)
    use = known(attribute, labels)
    labels, predictions, unknown = labels[use], predictions[use], int((~use).sum())
    if attribute != "age":
        names = CLASS_NAMES[attribute]
        matrix = confusion_matrix(labels, predictions.astype(np.int64), len(names))
        measures, recall = _confusion_estimates(matrix, seed)
        by_class = {names[index]: estimate for index, estimate in recall.items()}
        return AttributeMetrics(attribute, labels.size, unknown, measures, recall=by_class, confusion=matrix)
    errors, decades = absolute_errors(labels, predictions), decade(labels)
    means = ((name, mean_estimate(errors[decades == index], seed)) for index, name in enumerate(DECADES))
    by_decade = {name: estimate for name, estimate in means if estimate is not None}
    return AttributeMetrics(
        attribute, labels.size, unknown, measure_age(errors, seed), mae_by_decade=by_decade
    )


def _confusion_estimates(matrix: NDArray[np.int64], seed: int) -> tuple[Measures, dict[int, Estimate]]:
    total, shown = int(matrix.sum()), matrix.sum(axis=1)
    if total == 0:
        return {}, {}
    copies = resample_confusion(matrix, seed)
    recalls, recall_copies = recall_by_class(matrix), recall_by_class(copies)
    measures = {
        name: percentile_estimate(float(statistic(matrix)), statistic(copies), total)
        for name, statistic in (("accuracy", accuracy), ("balanced_accuracy", balanced_accuracy))
    }
    recall = {
        index: percentile_estimate(float(recalls[index]), recall_copies[:, index], int(shown[index]))
        for index in range(len(matrix))
    }
    return (
        {name: estimate for name, estimate in measures.items() if estimate is not None},
        {index: estimate for index, estimate in recall.items() if estimate is not None},
    )


def _check_lengths(labels: NDArray[Any], predictions: NDArray[Any]) -> None:
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise UsageError(f"labels {labels.shape} and predictions {predictions.shape} must pair up one to one")


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    part, whole = np.asarray(part), np.asarray(whole)
    result = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
