"""Fabric as a run needs it, and the scale of its gradients in float16."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.amp.grad_scaler import GradScaler
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

from face_analysis.distributed import world_size
from face_analysis.training.hardware import Hardware
from face_analysis.training.options import TrainOptions


def fabric_of(options: TrainOptions, hardware: Hardware) -> Fabric:
    """Fabric for the run's devices, processes and number format."""
    for name in ("lightning.fabric", "lightning_fabric"):  # what the user must know is said by this package
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    warnings.filterwarnings("ignore", module="torch.utils.data")
    torch.backends.cudnn.benchmark = True  # every batch but an epoch's last has the same shape
    float16 = options.precision == "16-mixed"
    fabric = Fabric(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.machines,
        # Averages of batch norms are made equal where they are used: in validation.
        strategy=DDPStrategy(broadcast_buffers=False) if world_size() > 1 else "auto",
        precision=None if float16 else options.precision,  # type: ignore[arg-type]  # not "auto" by now
        plugins=[MixedPrecision("16-mixed", "cuda", _scaler())] if float16 else None,
    )
    fabric.launch()
    return fabric


def _scaler() -> GradScaler:
    """One scale for all processes, each of which has gradients of its own classes."""
    if world_size() == 1:
        return GradScaler("cuda")
    return ShardedGradScaler("cuda", process_group=dist.group.WORLD)


def scaler_of(fabric: Fabric) -> GradScaler | None:
    """What scales the gradients; None but in float16."""
    precision = fabric.strategy.precision
    return precision.scaler if isinstance(precision, MixedPrecision) else None


def count_overflow_once(optimiser: torch.optim.Optimizer, *_: Any) -> None:
    """Let a step be left out by an overflow in several processes too, before the optimiser makes it.

    They add up the numbers of theirs, and torch's fused steps are left out at a number of exactly 1.
    """
    found: torch.Tensor | None = getattr(optimiser, "found_inf", None)
    if found is not None:
        found.clamp_(max=1)
