"""Options of a command as a frozen dataclass: one place for name, type, default, flags and help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


@dataclass(frozen=True)
class Opt:
    """Stands in `Annotated[type, Opt(help, short flags ...)]` of a field that is a command-line option.

    A `positional` one is given without a flag: one word, or any number of them for a tuple.
    """

    help: str
    flags: tuple[str, ...]
    positional: bool

    def __init__(self, help: str, *flags: str, positional: bool = False) -> None:  # noqa: A002
        object.__setattr__(self, "help", help)
        object.__setattr__(self, "flags", flags)
        object.__setattr__(self, "positional", positional)


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
