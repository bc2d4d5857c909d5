"""The attributes, their label codes, and which labels count as known.

Race, gender and age are what annotators of the data sets perceived; they are not what the people say of
themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Attribute = Literal["race", "gender", "age"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)
Column = Literal["race", "gender", "age", "class"]
"""What a label can be of; a class is a person, by any number from 0."""

RACES = ("caucasian", "african-american", "asian", "indian", "other")
GENDERS = ("female", "male")
MAX_AGE = 100
UNKNOWN = -1

CLASS_NAMES: dict[Attribute, tuple[str, ...]] = {"race": RACES, "gender": GENDERS}
OUTPUTS: dict[Attribute, int] = {"race": len(RACES), "gender": len(GENDERS), "age": MAX_AGE}
"""Numbers a head gives: one a class, or for age one a threshold "older than k", k = 0 ... 99."""

LABEL_COUNT: dict[Attribute, int] = {"race": len(RACES), "gender": len(GENDERS), "age": MAX_AGE + 1}
"""How many label values are valid: 0 ... LABEL_COUNT - 1."""
AGE_BANDS = (*(f"{start}-{start + 9}" for start in range(0, 70, 10)), "70+")
"""Decades of age; from 70 on they are joined, since public sets hold few such images."""

GROUP_NAMES: dict[Attribute, tuple[str, ...]] = {**CLASS_NAMES, "age": AGE_BANDS}
UNKNOWN_GROUP = "unknown"


def known(column: Column, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which labels lie in the column's range; everything else (-1 too) means unknown."""
    return labels >= 0 if column == "class" else (labels >= 0) & (labels < LABEL_COUNT[column])


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
