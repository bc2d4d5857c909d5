"""What moves a network's parameters, and its learning rate from step to step."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR, ReduceLROnPlateau

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


def optimiser_of(groups: list[dict[str, Any]], options: TrainOptions) -> torch.optim.Optimizer:
    """The optimiser of parameters in groups, each with its settings; it does not wait for the device."""
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=options.step_lr, fused=True)
    optimiser = torch.optim.SGD(groups, lr=options.step_lr, momentum=options.momentum, fused=True)
    for weight in (weight for group in groups for weight in group["params"]):
        # torch would leave them undefined where the first step of float16 is left out.
        optimiser.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    return optimiser


class Schedule:
    """The learning rate from step to step: a cosine, tenths after some epochs, or tenths on a plateau.

    An epoch has `epoch_steps` steps. On a plateau, the rate is divided by 10 when the score has not risen for
    3 validations.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, options: TrainOptions, epoch_steps: int) -> None:
        self.optimiser, self.options = optimiser, options
        self._rule: LambdaLR | MultiStepLR | ReduceLROnPlateau
        if options.lr_plateau:
            self._rule = ReduceLROnPlateau(
                optimiser, mode="max", factor=0.1, patience=3, threshold=0.001, cooldown=1
            )
        elif options.lr_cosine:
            factor = warm_cosine(epoch_steps * options.epochs, options.epochs)
            self._rule = LambdaLR(optimiser, factor)
        else:
            self._rule = MultiStepLR(optimiser, list(options.lr_steps), gamma=0.1)

    @property
    def learning_rate(self) -> float:
        """The rate of the next step, without the factor on heads."""
        return float(self.optimiser.param_groups[0]["lr"])

    def end_step(self) -> None:
        """Take the rate of the next step."""
        if isinstance(self._rule, LambdaLR):
            self._rule.step()

    def end_epoch(self) -> None:
        """Take the rate of the next epoch."""
        if isinstance(self._rule, MultiStepLR):
            self._rule.step()

    def end_validation(self, score: float) -> None:
        """Take in a score."""
        if isinstance(self._rule, ReduceLROnPlateau):
            self._rule.step(score)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        state: dict[str, Any] = self._rule.state_dict()
        return state

    def resume(
        self,
        state: dict[str, Any],
        steps: int,
        groups: list[dict[str, Any]],
        earlier: list[float],
        *,
        same_validation: bool,
    ) -> None:
        """Go on after `steps` steps of this run's size, with this run's own settings.

        `groups` have the settings of a fresh run, and the saved run began with the `earlier` rates; the
        optimiser has its saved state already. With the settings of the saved run nothing is changed, to the
        last bit.
        """
        if same_validation or not isinstance(self._rule, ReduceLROnPlateau):
            self._rule.load_state_dict(state)
        first = [group["lr"] for group in groups]
        rates = self._rates(steps, [group["lr"] for group in self.optimiser.param_groups], first, earlier)
        for group, own, rate in zip(self.optimiser.param_groups, groups, rates, strict=True):
            group["lr"], group["weight_decay"] = rate, own["weight_decay"]
            if "momentum" in group:
                group["momentum"] = self.options.momentum
            if "initial_lr" in group:
                group["initial_lr"] = own["lr"]

    def _rates(self, steps: int, now: list[float], first: list[float], earlier: list[float]) -> list[float]:
        """The rate after `steps` steps for each group, which begins at `first` and was saved with `now`."""
        rule = self._rule
        if isinstance(rule, LambdaLR):
            rule.last_epoch, rule.base_lrs = steps, list(first)
            return [rate * factor(steps) for rate, factor in zip(first, rule.lr_lambdas, strict=True)]
        if isinstance(rule, MultiStepLR):
            lr_steps = Counter(self.options.lr_steps)
            if (rule.milestones, rule.base_lrs) == (lr_steps, first):
                return now
            rule.milestones, rule.base_lrs = lr_steps, list(first)
            tenths = sum(step <= rule.last_epoch for step in self.options.lr_steps)
            return [rate * rule.gamma**tenths for rate in first]
        if first == earlier:
            return now
        return [lr * rate / old for lr, rate, old in zip(now, first, earlier, strict=True)]


class EarlyStop:
    """Says after PATIENCE validations whose score is not the highest that the run gains no more."""

    PATIENCE = 5

    def __init__(self) -> None:
        self.highest = -math.inf
        self.waited = 0

    def take(self, score: float) -> None:
        """Take in a score."""
        self.waited = 0 if score > self.highest else self.waited + 1
        self.highest = max(self.highest, score)

    @property
    def reached(self) -> bool:
        """Whether the run is to end."""
        return self.waited >= self.PATIENCE

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"highest": self.highest, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.highest, self.waited = state["highest"], state["waited"]


def warm_cosine(steps: int, epochs: int) -> Callable[[int], float]:
    """The factor on the learning rate at each step: up along a line for half an epoch, then a cosine."""
    warm = max(1.0, steps / epochs / 2)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1.0, steps - warm))))

    return factor
