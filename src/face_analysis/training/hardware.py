"""Which device trains, and in which number format."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from face_analysis.models.precision import fast_bf16
from face_analysis.training.options import Precision


@dataclass(frozen=True)
class Hardware:
    """Settings for the Trainer, and a line that says them."""

    accelerator: str
    devices: int
    precision: Precision
    description: str


def choose(precision: Precision, all_gpus: bool) -> Hardware:
    """A GPU where there is one (`all_gpus`: every one), and bf16 where it is fast, unless told otherwise."""
    cuda = torch.cuda.is_available()
    devices = torch.cuda.device_count() if cuda and all_gpus else 1
    device = torch.device("cuda" if cuda else "cpu")
    if precision == "auto":
        if fast_bf16(device):
            precision, why = "bf16-mixed", "fast here"
        elif cuda:
            precision, why = "16-mixed", "this GPU has no fast bf16"
        else:
            precision, why = "32-true", "bf16 is not fast on this CPU"
    else:
        why = "as told"
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    description = f"{devices} x {name}, precision {precision} ({why})"
    return Hardware("gpu" if cuda else "cpu", devices, precision, description)
