"""Which devices train, and in which number format."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from face_analysis.errors import UsageError
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


def choose(options: TrainOptions, begun_in: Precision | None) -> Hardware:
    """A GPU where there is one, for each process; and the number format.

    Unless told otherwise a resumed run keeps the one it was `begun_in`; a new one has bf16 where it is fast.
    Raises UsageError where `--compile` or `--precision 16-mixed` cannot work.
    """
    cuda = torch.cuda.is_available()
    if options.compile:
        require_compiler("cuda" if cuda else "cpu")
    if options.precision == "16-mixed" and not cuda:
        raise UsageError("--precision 16-mixed needs a GPU; give 32-true, or leave the choice to auto")
    precision, why = _precision(options, begun_in, cuda)
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world() > 1 else 1
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    description = f"{world()} x {name}, precision {precision} ({why})"
    return Hardware("gpu" if cuda else "cpu", devices, world() // devices, precision, description)


def _precision(options: TrainOptions, begun_in: Precision | None, cuda: bool) -> tuple[Precision, str]:
    fast = fast_bf16(torch.device("cuda" if cuda else "cpu"))
    precision, why = options.precision, "as told"
    if precision == "auto" and begun_in is not None and (cuda or begun_in != "16-mixed"):
        precision, why = begun_in, "as the run began"
    if precision != "auto":
        slow = precision.startswith("bf16") and not fast
        return precision, f"{why}, though bf16 is slow here" if slow else why
    if fast:
        return "bf16-mixed", "fast here"
    if cuda and not options.recognition:
        return "16-mixed", "this GPU has no fast bf16"
    return "32-true", "bf16 is not fast here"
