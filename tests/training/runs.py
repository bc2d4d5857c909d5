"""What runs left, for comparing them to the last bit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch


def losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row["train_loss"]) for row in csv.DictReader(file) if row["train_loss"]]


def content(checkpoint: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return loaded


def saved(run: Path) -> dict[str, Any]:
    return content(run / "checkpoints" / "last.ckpt")


def same(one: Any, other: Any) -> bool:
    """Whether nested dicts and lists hold the same, tensors to the last bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)
