"""What the head of age gives for each loss of age. Their formulas are in `losses/age.py`.

This module loads nothing heavy: the help of `--age_loss` is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from face_analysis.datasets.attributes import MAX_AGE
from face_analysis.zoo.card import AgeLossName


@dataclass(frozen=True)
class AgeHead:
    """A head that `gives` the tasks "older than k", k = 0 ... 99, each age 0 ... 100, or the age as a number.

    `outputs` is how many numbers that is. With `shared_weights` they have one vector of weights, and differ
    by their biases alone.
    """

    gives: Literal["tasks", "years", "number"]
    outputs: int
    shared_weights: bool = False


AGE_HEADS: dict[AgeLossName, AgeHead] = {
    "ordinal": AgeHead("tasks", MAX_AGE),
    "pairs": AgeHead("tasks", 2 * MAX_AGE),
    "coral": AgeHead("tasks", MAX_AGE, shared_weights=True),
    "corn": AgeHead("tasks", MAX_AGE),
    "dex": AgeHead("years", MAX_AGE + 1),
    "dldl": AgeHead("years", MAX_AGE + 1),
    "mean_variance": AgeHead("years", MAX_AGE + 1),
    "l1": AgeHead("number", 1),
    "l2": AgeHead("number", 1),
}


def losses_of(gives: Literal["tasks", "years", "number"]) -> str:
    """The names of the losses whose heads give this, for a message or a help."""
    return ", ".join(name for name, head in AGE_HEADS.items() if head.gives == gives)
