"""The measures of every predicted attribute, overall and for each group of the true labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import (
    ATTRIBUTES,
    CLASS_NAMES,
    GROUP_NAMES,
    UNKNOWN_GROUP,
    Attribute,
    group_index,
    known,
)
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.attributes import (
    AttributeMetrics,
    Measures,
    absolute_errors,
    confusion_matrix,
    evaluate_attribute,
    measure_age,
    measure_confusion,
)
from face_analysis.evaluation.intervals import LEVEL, RESAMPLES, SEED


@dataclass(frozen=True)
class AttributeReport:
    """One attribute: overall, and by grouping attribute the measures of each group that has images.

    Group names are those of GROUP_NAMES, then "unknown" for images whose group label is not known. The counts
    of a grouping's groups add up to `overall.count`.
    """

    overall: AttributeMetrics
    groups: dict[Attribute, dict[str, Measures]]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and finite numbers, for JSON."""
        groups = {
            grouping: {
                group: {name: estimate.to_dict() for name, estimate in measures.items()}
                for group, measures in parts.items()
            }
            for grouping, parts in self.groups.items()
        }
        return {"overall": self.overall.to_dict(), "groups": groups}


@dataclass(frozen=True)
class EvaluationReport:
    """All that was measured on `images` images; `missing` more were listed but have no prediction.

    `age_count` is age decoded as the original system did (the number of thresholds passed), overall only.
    """

    images: int
    missing: int
    attributes: dict[Attribute, AttributeReport]
    age_count: AttributeMetrics | None = None
    seed: int = SEED

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and finite numbers, for JSON; says how the intervals were made."""
        return {
            "images": self.images,
            "missing": self.missing,
            "intervals": {
                "method": "percentile bootstrap",
                "level": LEVEL,
                "resamples": RESAMPLES,
                "seed": self.seed,
            },
            "attributes": {name: part.to_dict() for name, part in self.attributes.items()},
            "age_count": None if self.age_count is None else self.age_count.to_dict(),
        }


def evaluate(
    labels: Mapping[Attribute, NDArray[np.integer]],
    predictions: Mapping[Attribute, NDArray[np.number]],
    *,
    age_count: NDArray[np.integer] | None = None,
    missing: int = 0,
    seed: int = SEED,
) -> EvaluationReport:
    """Measure every attribute that has labels and predictions; arrays are (N,), row i is image i in all.

    Labels are codes or whole years, predictions codes or years (age: any finite number); `age_count` are ages
    from the original's decoding. Groups come from the true labels. Raises UsageError for arrays of
    different lengths or predictions out of range, EmptyDataError where no attribute has both.
    """
    count = _common_length(labels, predictions, age_count)
    measured = [name for name in ATTRIBUTES if name in labels and name in predictions]
    if not measured or count == 0:
        raise EmptyDataError(
            f"nothing to evaluate: the labels are of {', '.join(labels) or 'nothing'}, the predictions of "
            f"{', '.join(predictions) or 'nothing'}, for {count} images"
        )
    indices = {name: group_index(name, labels[name]) for name in ATTRIBUTES if name in labels}
    attributes = {
        name: AttributeReport(
            evaluate_attribute(name, labels[name], predictions[name], seed),
            {
                grouping: _group_measures(name, labels[name], predictions[name], grouping, index, seed)
                for grouping, index in indices.items()
            },
        )
        for name in measured
    }
    counted = None
    if age_count is not None and "age" in labels:
        counted = evaluate_attribute("age", labels["age"], age_count, seed)
    return EvaluationReport(count, missing, attributes, counted, seed)


def _group_measures(
    attribute: Attribute,
    labels: NDArray[np.integer],
    predictions: NDArray[np.number],
    grouping: Attribute,
    index: NDArray[np.int64],
    seed: int,
) -> dict[str, Measures]:
    use = known(attribute, labels)
    labels, predictions, index = labels[use], predictions[use], index[use]
    result: dict[str, Measures] = {}
    for name, rows in _members(grouping, index):
        if attribute == "age":
            result[name] = measure_age(absolute_errors(labels[rows], predictions[rows]), seed)
        else:
            codes = predictions[rows].astype(np.int64)
            matrix = confusion_matrix(labels[rows], codes, len(CLASS_NAMES[attribute]))
            result[name] = measure_confusion(matrix, seed)
    return result


def _members(grouping: Attribute, index: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    names = [*enumerate(GROUP_NAMES[grouping]), (-1, UNKNOWN_GROUP)]
    for code, name in names:
        rows = index == code
        if rows.any():
            yield name, rows


def _common_length(
    labels: Mapping[Attribute, NDArray[np.integer]],
    predictions: Mapping[Attribute, NDArray[np.number]],
    age_count: NDArray[np.integer] | None,
) -> int:
    lengths = {len(column) for column in (*labels.values(), *predictions.values())}
    if age_count is not None:
        lengths.add(len(age_count))
    if len(lengths) > 1:
        raise UsageError(f"labels and predictions must cover the same images; lengths are {sorted(lengths)}")
    return lengths.pop() if lengths else 0
