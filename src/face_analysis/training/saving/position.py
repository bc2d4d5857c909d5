"""Where in its epochs a checkpoint is, and how a run with other settings goes on from there."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import lightning as L
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR

from face_analysis.training.callbacks import PlateauSchedule, StopEarly
from face_analysis.training.data import IMAGES, BatchLoader
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.saver import Saver

RATES = "first_learning_rates"
"""The entry of a checkpoint with the first learning rate of each group of parameters."""
VALIDATED = "validated"
"""The entry that says on what it was validated."""
log = logging.getLogger(__name__)


def epochs_begun(checkpoint: dict[str, Any]) -> int:
    """How many epochs a checkpoint's run has begun."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["ready"])


def loader_state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The state of the loader of the training images."""
    (state,) = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    return dict(state)


class ContinueRun(L.Callback):
    """Lets a run go on from a checkpoint with the batches and learning rates of its own options.

    An epoch that was broken off goes on after the images that were seen, whatever the size of the batches:
    the first one ends where one of the whole epoch would. Scores on other images than those `validated` are
    not compared with. With the options of the checkpoint nothing is changed, to the last bit.
    """

    def __init__(self, batches: BatchLoader, validated: list[str], options: TrainOptions) -> None:
        self.batches, self.validated, self.options = batches.batches, validated, options
        self.steps: int | None = None
        self.earlier: list[float] = []

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add what is validated, and the first rates, which the schedule of a plateau does not keep."""
        checkpoint[VALIDATED] = self.validated
        checkpoint[RATES] = [group["lr"] for group in pl_module.groups()]

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Count in batches of this run, before Lightning takes over the counts."""
        before = self.batches.batches_before(loader_state(checkpoint)[IMAGES])
        counts = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
        shift = before - counts["ready"]
        for name in ("ready", "started", "processed", "completed"):
            counts[name] += shift
        whole = (epochs_begun(checkpoint) - 1) * pl_module.epoch_steps
        self.steps = whole - (-before // self.options.accumulate)
        self.earlier = checkpoint[RATES]
        if checkpoint[VALIDATED] != self.validated:
            log.warning("validated on other images than before: scores are compared anew from here on")
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, Saver | StopEarly | PlateauSchedule):
                    checkpoint["callbacks"].pop(callback.state_key, None)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Put this run's settings in the place of those that came with the state of the optimiser."""
        if self.steps is None:
            return
        fresh, groups = pl_module.groups(), trainer.optimizers[0].param_groups
        rates = [group["lr"] for group in fresh]
        for group, own in zip(groups, fresh, strict=True):
            group["weight_decay"] = own["weight_decay"]
            if "momentum" in group:
                group["momentum"] = self.options.momentum
        schedule = next((config.scheduler for config in trainer.lr_scheduler_configs), None)
        now = self._rates(self.steps, schedule, [group["lr"] for group in groups], rates)
        for group, rate, first in zip(groups, now, rates, strict=True):
            group["lr"] = rate
            if schedule is not None:
                group["initial_lr"] = first

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, i: int) -> None:
        """Let validations be logged at their step: the count of Lightning misses one in other batches."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def _rates(self, steps: int, schedule: Any, now: list[float], rates: list[float]) -> list[float]:
        """The rate after `steps` steps for each group, which begins at `rates` and was saved with `now`."""
        if isinstance(schedule, LambdaLR):
            schedule.last_epoch, schedule.base_lrs = steps, list(rates)
            return [rate * factor(steps) for rate, factor in zip(rates, schedule.lr_lambdas, strict=True)]
        if isinstance(schedule, MultiStepLR):
            lr_steps = Counter(self.options.lr_steps)
            if (schedule.milestones, schedule.base_lrs) == (lr_steps, rates):
                return now
            schedule.milestones, schedule.base_lrs = lr_steps, list(rates)
            tenths = sum(step <= schedule.last_epoch for step in self.options.lr_steps)
            return [rate * schedule.gamma**tenths for rate in rates]
        if rates == self.earlier:
            return now
        return [lr * rate / first for lr, rate, first in zip(now, rates, self.earlier, strict=True)]
