"""Which devices train, and in which number format."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from face_analysis.losses.processes import world
from face_analysis.models.precision import fast_bf16
from face_analysis.training.compiled import require_compiler
from face_analysis.training.options import Precision, TrainOptions


@dataclass(frozen=True)
class Hardware:
    """Settings for the Trainer, and a line that says them: devices of this machine, of so many machines."""

    accelerator: str
    devices: int
    machines: int
    precision: Precision
    description: str


def choose(options: TrainOptions) -> Hardware:
    """A GPU where there is one, for each process; and bf16 where it is fast, unless told otherwise.

    Raises UsageError where `--compile` cannot work.
    """
    cuda = torch.cuda.is_available()
    if options.compile:
        require_compiler("cuda" if cuda else "cpu")
    precision, why = _precision(options, cuda)
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world() > 1 else 1
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    description = f"{world()} x {name}, precision {precision} ({why})"
    return Hardware("gpu" if cuda else "cpu", devices, world() // devices, precision, description)


def _precision(options: TrainOptions, cuda: bool) -> tuple[Precision, str]:
    fast = fast_bf16(torch.device("cuda" if cuda else "cpu"))
    if options.precision != "auto":
        slow = options.precision.startswith("bf16") and not fast
        return options.precision, "as told, though bf16 is slow here" if slow else "as told"
    if fast:
        return "bf16-mixed", "fast here"
    if cuda and not options.recognition:
        return "16-mixed", "this GPU has no fast bf16"
    return "32-true", "bf16 is not fast here"
