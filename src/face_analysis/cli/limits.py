"""The ranges of numbers: an option of one name has one range in every command."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """A number is at least `least`, at most `most`, and greater than `over`."""

    least: float = -math.inf
    most: float = math.inf
    over: float = -math.inf

    def allow(self, value: float) -> bool:
        """Whether a number is in the range. NaN never is."""
        return self.least <= value <= self.most and value > self.over

    def __str__(self) -> str:
        """In words, such as `at least 0 and at most 1`; empty where there are none."""
        ends = (("at least", self.least), ("over", self.over), ("at most", self.most))
        return " and ".join(f"{word} {end:g}" for word, end in ends if math.isfinite(end))


NONE = Limits()
SHARE, COUNT, AMOUNT = Limits(over=0, most=1), Limits(least=1), Limits(least=0)
LIMITS = {
    "batch_size": COUNT,
    "each": COUNT,
    "epochs": COUNT,
    "fmr": SHARE,
    "images": Limits(least=4),
    "lists": COUNT,
    "memory": Limits(over=0),
    "min_size": AMOUNT,
    "nprobe": COUNT,
    "quality": Limits(1, 100),
    "search threshold": Limits(-1, 1),
    "seed": AMOUNT,
    "shares": SHARE,
    "similarity": SHARE,
    "size": COUNT,
    "tail": AMOUNT,
    "threshold": Limits(0, 1),
    "top": COUNT,
    "workers": AMOUNT,
}


def limits_of(command: str, option: str) -> Limits:
    """The range of an option, which a command can have for itself."""
    return LIMITS.get(f"{command} {option}") or LIMITS.get(option) or NONE
