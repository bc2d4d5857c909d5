"""The demographic group of each row of a feature set, by columns of its index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from face_analysis.datasets.attributes import ATTRIBUTES, GROUP_NAMES, group_index
from face_analysis.errors import FeatureSetError, UsageError
from face_analysis.matching.features.feature_set import FeatureSet

BETWEEN = "/"


def groups_of(features: FeatureSet, columns: Sequence[str]) -> list[str]:
    """The name of each row's group, "" where a column does not say; of several columns `name/name`.

    The codes of race and gender become names, ages bands; other columns are taken as they are. Raises
    UsageError for a column that the index lacks.
    """
    if not columns:
        return [""] * len(features)
    named = [_names(features, column) for column in columns]
    return [BETWEEN.join(names) if all(names) else "" for names in zip(*named, strict=True)]


def _names(features: FeatureSet, column: str) -> list[str]:
    if column not in features.columns:
        raise UsageError(f"{features.folder}: the index has no column `{column}` to group by; name another")
    values = features.columns[column]
    for attribute in ATTRIBUTES:
        if attribute == column:
            try:
                codes = np.array([int(value or -1) for value in values], np.int64)
            except (ValueError, OverflowError) as error:
                raise FeatureSetError(f"{features.folder}: column `{column}`: {error}") from error
            names = (*GROUP_NAMES[attribute], "")  # of the unknown, -1, the last
            return [names[place] for place in group_index(attribute, codes)]
    return values
