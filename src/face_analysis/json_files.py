"""JSON that every reader takes: a figure that is not a number is null, with the reason beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from face_analysis.files import write_text

REASON = "_reason"
"""What the name of a figure's reason ends with."""
NOT_A_NUMBER = "not a finite number"


def json_text(
    value: Any, *, indent: int | None = None, sort_keys: bool = False, ensure_ascii: bool = True
) -> str:
    """JSON without `NaN` and `Infinity`, which are not JSON.

    A float that is not finite becomes null; in an object `<name>_reason` beside it says so, unless the object
    has a reason already.
    """
    write = partial(
        json.dumps, allow_nan=False, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii
    )
    try:
        return write(value)
    except ValueError:
        return write(_finite(value))


def write_json(path: Path | str, value: Any) -> None:
    """Write `json_text` as a whole file, a line a value. Raises WriteError."""
    write_text(path, json_text(value, indent=1) + "\n")


def with_reasons(figures: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """The figures by name, and beside each that is None its reason as `<name>_reason`."""
    found: dict[str, Any] = {}
    for name, value in figures.items():
        found[name] = value
        if value is None and reasons.get(name):
            found[name + REASON] = reasons[name]
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, each in value.items():
        found[name] = _finite(each)
        if isinstance(each, float) and found[name] is None:
            found.setdefault(f"{name}{REASON}", value.get(f"{name}{REASON}", NOT_A_NUMBER))
    return found
