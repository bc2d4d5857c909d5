"""The options of a command's dataclass, as the reading of words needs them, and the ranges of numbers.

An option of one name has one range in every command, but where a command has one of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from face_analysis.options import Opt

METAVARS = {int: "N", float: "X", Path: "PATH", str: "WORD"}
CONFIG = "config"


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


@dataclass(frozen=True)
class Option:
    """One option: `kind` is the type of a value, of which `many` has several."""

    name: str
    kind: Any
    many: bool
    opt: Opt
    hint: Any
    limits: Limits
    default: Any = MISSING

    @property
    def switch(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is written, the long form first; nothing for one that is given without a flag."""
        return () if self.opt.positional else (f"--{self.name}", *self.opt.flags)

    @property
    def shown(self) -> str:
        """Its name in a message: `--dest`, or `DEST` where it is a word without a flag."""
        return self.name.upper() if self.opt.positional else f"--{self.name}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it takes, if only these."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def metavar(self) -> str:
        """What stands for a value in the help."""
        if self.opt.positional:
            return self.name.upper()
        return "{" + ",".join(self.choices) + "}" if self.choices else METAVARS[self.kind]


@cache
def option_table(command: str, options: type) -> Mapping[str, Option]:
    """The options of a command by name, in the order of its dataclass; `--config` comes first."""
    hints = get_type_hints(options, include_extras=True)
    text = Opt("YAML file with any of these options; those on the command line count more")
    config = Option(CONFIG, Path, False, text, Path, NONE, None)
    return {
        CONFIG: config,
        **{
            item.name: _option(command, item.name, hints[item.name], item.default) for item in fields(options)
        },
    }


def _option(command: str, name: str, annotated: Any, default: Any) -> Option:
    hint, opt = get_args(annotated)
    assert isinstance(opt, Opt)
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    kind = kinds[0] if NoneType in get_args(hint) else hint
    many = get_origin(kind) is tuple
    kind = get_args(kind)[0] if many else kind
    limits = limits_of(command, name) if kind in (int, float) else NONE
    return Option(name, kind, many, opt, hint, limits, default)
