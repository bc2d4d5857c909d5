"""Options of a command as a frozen dataclass: one place for name, type, default, flags, range and help."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import yaml

from face_analysis.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """The finite numbers from `low` to `high` that are greater than `over` and less than `below`."""

    low: float = -math.inf
    high: float = math.inf
    over: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and self.over < value < self.below

    def __str__(self) -> str:
        """In words, such as `at least 0 and below 1`; empty where it has no ends."""
        ends = {"at least": self.low, "over": self.over, "at most": self.high, "below": self.below}
        return " and ".join(f"{word} {end:.12g}" for word, end in ends.items() if math.isfinite(end))


ANY = Range()


def range_of(hint: Any) -> Range:
    """The range of an annotated type; of one without a range, all finite numbers."""
    return next((item for item in get_args(hint)[1:] if isinstance(item, Range)), ANY)


@dataclass(frozen=True)
class Opt:
    """Stands in `Annotated[type, Opt(help, short flags ...)]` of a field that is a command-line option.

    A `positional` one is given without a flag: one word, or any number of them for a tuple. A `Range` after
    it is that of a number, or of each of several.
    """

    help: str
    flags: tuple[str, ...]
    positional: bool

    def __init__(self, help: str, *flags: str, positional: bool = False) -> None:  # noqa: A002
        object.__setattr__(self, "help", help)
        object.__setattr__(self, "flags", flags)
        object.__setattr__(self, "positional", positional)


def as_flag(name: str, value: object) -> str:
    """An option and its value as they are written on a command line."""
    return f"`--{name} {value}`"


def check_ranges(options: DataclassInstance, shown: Callable[[str, object], str] = as_flag) -> None:
    """Raises UsageError for a number outside the range of its option; `shown` names option and value."""
    for name, hint in get_type_hints(type(options), include_extras=True).items():
        value, within = getattr(options, name), range_of(hint)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and number not in within:
                ends = [str(within)] * (within != ANY) + ["finite"] * (not -math.inf < number < math.inf)
                raise UsageError(f"{shown(name, number)}: must be {' and '.join(ends)}")


def to_yaml(options: DataclassInstance) -> str:
    """The options as the YAML that `--config` reads; those that are None are left out."""
    values = {item.name: _plain(getattr(options, item.name)) for item in fields(options)}
    return yaml.safe_dump(
        {name: value for name, value in values.items() if value is not None}, sort_keys=False
    )


def with_defaults(options: type[T], values: Mapping[str, Any]) -> type[T]:
    """The same options with other defaults."""
    hints = get_type_hints(options, include_extras=True)
    changed = [(name, hints[name], field(default=value)) for name, value in values.items()]
    return make_dataclass(options.__name__, changed, bases=(options,), frozen=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
