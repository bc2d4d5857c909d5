"""SGD over a network's parameters, and its learning rate from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from face_analysis.training.options import TrainOptions


def backbone_groups(backbone: nn.Module, options: TrainOptions) -> list[dict[str, Any]]:
    """The backbone's parameters that learn, in two groups: those of batch norms are not decayed."""
    norms = [
        parameter
        for module in backbone.modules()
        if isinstance(module, _BatchNorm)
        for parameter in module.parameters(recurse=False)
        if parameter.requires_grad
    ]
    exempt = {id(parameter) for parameter in norms}
    others = [
        parameter
        for parameter in backbone.parameters()
        if parameter.requires_grad and id(parameter) not in exempt
    ]
    return [
        {"params": others, "weight_decay": options.weight_decay},
        {"params": norms, "weight_decay": 0},
    ]


def optimiser_and_schedule(groups: list[dict[str, Any]], options: TrainOptions, epoch_steps: int) -> Any:
    """What `configure_optimizers` gives Lightning; an epoch has `epoch_steps` steps of the optimiser."""
    optimiser = torch.optim.SGD(groups, lr=options.step_lr, momentum=options.momentum)
    if options.lr_plateau:
        return optimiser
    if options.lr_cosine:
        # Asking the Trainer for the steps would open the loader before a checkpoint has set its position.
        factor = warm_cosine(epoch_steps * options.epochs, options.epochs)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
    steps = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(options.lr_steps), gamma=0.1)
    return {"optimizer": optimiser, "lr_scheduler": steps}


def warm_cosine(steps: int, epochs: int) -> Callable[[int], float]:
    """The factor on the learning rate at each step: up along a line for half an epoch, then a cosine."""
    warm = max(1.0, steps / epochs / 2)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1.0, steps - warm))))

    return factor
