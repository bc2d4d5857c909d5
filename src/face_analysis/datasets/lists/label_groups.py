"""Groups of labels: the classes of race and gender, and bands of age."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, UNKNOWN, Attribute, known

AGE_BANDS = (*(f"{start}-{start + 9}" for start in range(0, 70, 10)), "70+")
"""Decades of age; from 70 on they are joined, since public sets hold few such images."""

GROUP_NAMES: dict[Attribute, tuple[str, ...]] = {**CLASS_NAMES, "age": AGE_BANDS}
UNKNOWN_GROUP = "unknown"


def group_index(grouping: Attribute, labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Index into GROUP_NAMES[grouping] of each label (N,); -1 where the label is not known."""
    codes = labels.astype(np.int64)
    if grouping == "age":
        codes = np.minimum(codes // 10, len(AGE_BANDS) - 1)
    return np.where(known(grouping, labels), codes, UNKNOWN)


def count_groups(labels: Mapping[str, NDArray[np.integer]], count: int) -> NDArray[np.int64]:
    """How many of `count` images are in each group, int64 (races + 1, genders + 1, bands + 1).

    `labels` holds columns (count,); one that it lacks is unknown throughout. The last place of each axis
    counts the unknown.
    """
    counts = np.zeros([len(GROUP_NAMES[name]) + 1 for name in ATTRIBUTES], np.int64)
    unknown = np.full(count, UNKNOWN)
    # As an index -1 is the last place.
    np.add.at(counts, tuple(group_index(name, labels.get(name, unknown)) for name in ATTRIBUTES), 1)
    return counts
