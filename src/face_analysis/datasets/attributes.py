"""The attributes, their label codes, and which labels count as known.

Race, gender and age are what annotators of the data sets perceived; they are not what the people say of
themselves.
"""

from __future__ import annotations

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


def known(column: Column, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which labels lie in the column's range; everything else (-1 too) means unknown."""
    return labels >= 0 if column == "class" else (labels >= 0) & (labels < LABEL_COUNT[column])
