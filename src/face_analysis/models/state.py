"""Which keys of a state dict fit a network, and which do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

SHOWN = 3


def mismatch(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What does not fit, in one line for an error message; empty when every key and shape does."""
    reshaped = [
        f"{name} is {tuple(given[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & given.keys())
        if given[name].shape != expected[name].shape
    ]
    parts = (
        ("missing", sorted(expected.keys() - given.keys())),
        ("not known", sorted(given.keys() - expected.keys())),
        ("of another shape", reshaped),
    )
    return "; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in parts if names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
