"""The range of every number that a command takes: on the command line, in its help, and from Python."""

from __future__ import annotations

import math
import re

import pytest

from face_analysis import TrainOptions, train
from face_analysis.cli.commands import OPTIONS, options_of
from face_analysis.cli.option_table import Option
from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.options import Range
from tests.cli.command_words import needed_words, table_of
from tests.cli.conftest import Run

Number = int | float
WITHOUT_ENDS = {"depth": "one of a few numbers", "mean": "of pixels, in any unit", "scale": "all but 0"}
"""Options of numbers that need no range, and what is true of them instead."""
NUMBERS = [
    (command, option)
    for command in OPTIONS
    for option in table_of(command).values()
    if option.kind in (int, float)
]
OF_TRAINING = [option for command, option in NUMBERS if command == "train"]


def inside(option: Option) -> list[Number]:
    """The first and the last number of the range, as near to its ends as its kind allows."""
    within, whole = option.within, option.kind is int
    ends: list[Number] = [within.low, within.high]
    ends += [within.over + 1 if whole else math.nextafter(within.over, math.inf)]
    ends += [within.below - 1 if whole else math.nextafter(within.below, -math.inf)]
    return [option.kind(end) for end in ends if abs(end) < 1e300]


def outside(option: Option) -> list[Number]:
    """The numbers next to its ends that are not in it; for a fraction also those that are no number."""
    within, whole = option.within, option.kind is int
    ends: list[Number] = [within.over, within.below]
    ends += [within.low - 1 if whole else math.nextafter(within.low, -math.inf)]
    ends += [within.high + 1 if whole else math.nextafter(within.high, math.inf)]
    return [option.kind(end) for end in ends if abs(end) < 1e300] + [math.nan, math.inf, -math.inf] * (
        not whole
    )


def refused(option: Option, value: Number) -> str:
    """What is said of a number outside."""
    ends = str(option.within).split(" and ") if str(option.within) else []
    finite = [] if math.isfinite(value) else ["finite"]
    return re.escape(f"`--{option.name} {value}`: must be {' and '.join(ends + finite)}") + "$"


def written(value: Number) -> str:
    """As a user writes it."""
    return str(value)


def ids(value: object) -> str | None:
    return value.name if isinstance(value, Option) else None


@pytest.mark.parametrize(("command", "option"), NUMBERS, ids=ids)
def test_a_number_in_its_range_is_taken_and_the_next_one_outside_refused(
    command: str, option: Option
) -> None:
    words = needed_words(command, without=option.name)
    for value in inside(option):
        taken = getattr(
            parse(command, options_of(command), [*words, f"--{option.name}={value}"]), option.name
        )
        assert taken == ((value,) if option.many else value)
    for value in outside(option):
        with pytest.raises(UsageError, match=refused(option, value)):
            parse(command, options_of(command), [*words, f"--{option.name}={written(value)}"])


def test_every_number_has_a_range_but_those_that_are_known_to_need_none() -> None:
    assert {option.name for _, option in NUMBERS if not str(option.within)} == WITHOUT_ENDS.keys()


@pytest.mark.parametrize("option", OF_TRAINING, ids=ids)
def test_a_training_from_python_is_refused_with_the_same_words(option: Option) -> None:
    for value in outside(option):
        changes = {option.name: (value,) if option.many else value}
        with pytest.raises(UsageError, match=refused(option, value)):
            train(TrainOptions(attribute=("age",), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("command", sorted({command for command, _ in NUMBERS} - {"feature_match"}))
def test_the_help_shows_the_range(run: Run, command: str) -> None:
    out = " ".join(run(f"{command} --help")[1].split())
    for option in table_of(command).values():
        assert f"({option.within}" in out or not str(option.within)


@pytest.mark.parametrize(
    ("within", "text", "taken", "not_taken"),
    [
        (Range(low=1), "at least 1", (1, 1e308, 10**400), (0, 0.999, math.inf)),
        (Range(over=0, high=1), "over 0 and at most 1", (5e-324, 1), (0, -1e-300, 1.0000001)),
        (Range(low=0, below=1), "at least 0 and below 1", (0, 1 - 2**-53), (1, -5e-324)),
        (Range(0, 2**32 - 1), "at least 0 and at most 4294967295", (0, 2**32 - 1), (2**32, -1)),
        (Range(), "", (-1e308, 0, 1e308), (math.inf, -math.inf)),
    ],
)
def test_a_range_takes_finite_numbers_between_its_ends_and_says_them(
    within: Range, text: str, taken: tuple[Number, ...], not_taken: tuple[Number, ...]
) -> None:
    assert str(within) == text
    assert all(number in within for number in taken)
    assert not any(number in within for number in (*not_taken, math.nan))
