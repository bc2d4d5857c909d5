"""The options of a command's dataclass, as the reading of words needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from face_analysis.options import ANY, Opt, Range, range_of

METAVARS = {int: "N", float: "X", Path: "PATH", str: "WORD"}
CONFIG = "config"


@dataclass(frozen=True)
class Option:
    """One option: `kind` is the type of a value, of which `many` has several."""

    name: str
    kind: Any
    many: bool
    opt: Opt
    hint: Any
    within: Range
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
def option_table(options: type) -> Mapping[str, Option]:
    """The options of a command's dataclass by name, in its order; `--config` comes first."""
    hints = get_type_hints(options, include_extras=True)
    text = Opt("YAML file with any of these options; those on the command line count more")
    config = Option(CONFIG, Path, False, text, Path, ANY, None)
    return {
        CONFIG: config,
        **{item.name: _option(item.name, hints[item.name], item.default) for item in fields(options)},
    }


def _option(name: str, annotated: Any, default: Any) -> Option:
    hint, opt, *_ = get_args(annotated)
    assert isinstance(opt, Opt)
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    kind = kinds[0] if NoneType in get_args(hint) else hint
    many = get_origin(kind) is tuple
    kind = get_args(kind)[0] if many else kind
    return Option(name, kind, many, opt, hint, range_of(annotated), default)
