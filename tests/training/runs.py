"""What runs left, for comparing them."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(run: Path, name: str) -> list[float]:
    return [float(row[name]) for row in rows(run) if row[name]]


def losses(run: Path) -> list[float]:
    return column(run, "train_loss")


def content(checkpoint: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return loaded


def saved(run: Path) -> dict[str, Any]:
    return content(run / "checkpoints" / "last.ckpt")


def saved_weights(run: Path) -> dict[str, torch.Tensor]:
    """With the weights of the classes, where there are any."""
    content = saved(run)
    return {**content["state_dict"], **content.get("classes", {})}


def same(one: Any, other: Any) -> bool:
    """Whether nested dicts and lists hold the same, tensors to the last bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def signals(*numbers: signal.Signals) -> Callable[[], None]:
    def send() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    return send
