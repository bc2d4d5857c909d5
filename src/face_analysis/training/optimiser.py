"""What moves a network's parameters, and its learning rate from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from face_analysis.training.options import TrainOptions


def backbone_groups(backbone: nn.Module, options: TrainOptions) -> list[dict[str, Any]]:
    """The backbone's parameters that learn, in groups: those of batch norms are not decayed.

    With `layer_decay` below 1 each layer has groups of its own, the last one first, at the full rate; the
    rate falls by that factor from layer to layer (Howard and Ruder 2018, arXiv 1801.06146, section 3.1).
    """
    parts = _layers(backbone) if options.layer_decay < 1 else [backbone]
    groups = []
    for depth, part in enumerate(parts):
        norms, others = _norms_and_others(part)
        rate = options.step_lr * options.layer_decay**depth
        groups.append({"params": others, "lr": rate, "weight_decay": options.weight_decay})
        groups.append({"params": norms, "lr": rate, "weight_decay": 0})
    return groups


def _layers(backbone: nn.Module) -> list[nn.Module]:
    """From the last to the first: what follows the body, its units, and what comes before them."""
    children = dict(backbone.named_children())
    place = list(children).index("body")
    after, before = list(children.values())[place + 1 :], list(children.values())[:place]
    return [nn.ModuleList(after), *reversed(list(children["body"].children())), nn.ModuleList(before)]


def _norms_and_others(part: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    learning = {id(parameter): parameter for parameter in part.parameters() if parameter.requires_grad}
    norms = [
        learning.pop(id(parameter))
        for module in part.modules()
        if isinstance(module, _BatchNorm)
        for parameter in module.parameters(recurse=False)
        if parameter.requires_grad
    ]
    return norms, list(learning.values())


def optimiser_and_schedule(groups: list[dict[str, Any]], options: TrainOptions, epoch_steps: int) -> Any:
    """What `configure_optimizers` gives Lightning; an epoch has `epoch_steps` steps of the optimiser."""
    optimiser = _optimiser(groups, options)
    if options.lr_plateau:
        return optimiser
    if options.lr_cosine:
        # Asking the Trainer for the steps would open the loader before a checkpoint has set its position.
        factor = warm_cosine(epoch_steps * options.epochs, options.epochs)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
    steps = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(options.lr_steps), gamma=0.1)
    return {"optimizer": optimiser, "lr_scheduler": steps}


def _optimiser(groups: list[dict[str, Any]], options: TrainOptions) -> torch.optim.Optimizer:
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=options.step_lr)
    return torch.optim.SGD(groups, lr=options.step_lr, momentum=options.momentum)


def warm_cosine(steps: int, epochs: int) -> Callable[[int], float]:
    """The factor on the learning rate at each step: up along a line for half an epoch, then a cosine."""
    warm = max(1.0, steps / epochs / 2)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1.0, steps - warm))))

    return factor
