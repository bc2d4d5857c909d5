"""What a run does besides learning: progress, averaged weights, schedule on a plateau, failed images."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from face_analysis.files import FailureLog
from face_analysis.losses.processes import rank, reduced, world
from face_analysis.training.saving.run_folder import SCORE
from face_analysis.types import ImageFailure


class Progress(L.Callback):
    """A bar on stderr over the whole run: images done, images/s, time left, loss and validation measures."""

    def __init__(self, images: int, batch_size: int) -> None:
        self.images, self.batch_size = images, batch_size

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, i: int
    ) -> None:
        """Open the bar at the step where the run begins or goes on."""
        if hasattr(self, "bar"):
            return
        self.bar = tqdm(
            total=(trainer.max_epochs or 0) * self.images,
            initial=trainer.current_epoch * self.images + i * self.batch_size,
            unit=" images",
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 15,
            disable=not trainer.is_global_zero,
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, i: int
    ) -> None:
        """Count the images of the step."""
        self.bar.set_description(f"epoch {trainer.current_epoch}", refresh=False)
        shown = {
            name.removeprefix("train_").removeprefix("val_"): f"{float(value):.4g}"
            for name, value in trainer.callback_metrics.items()
            if name == "train_loss" or (name.startswith("val_") and name != SCORE)
        }
        self.bar.set_postfix(shown, refresh=False)
        done = trainer.current_epoch * self.images + min((i + 1) * self.batch_size, self.images)
        self.bar.update(done - self.bar.n)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Close the bar."""
        if hasattr(self, "bar"):
            self.bar.close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar of a run that fails: Lightning does not call `teardown` then."""
        self.teardown(trainer, pl_module, "fit")


class PlateauSchedule(L.Callback):
    """Divides the learning rate by 10 when the validation score has not risen for 3 validations."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attach the schedule to the optimiser."""
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            trainer.optimizers[0], mode="max", factor=0.1, patience=3, threshold=0.001, cooldown=1
        )
        if restored := getattr(self, "restored", None):
            self.schedule.load_state_dict(restored)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Take the new score, if there is one."""
        if pl_module.score is not None:
            self.schedule.step(pl_module.score)

    def state_dict(self) -> dict[str, Any]:
        """The schedule's counters, for the checkpoint."""
        return self.schedule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until the optimiser exists."""
        self.restored = state_dict


class StopEarly(EarlyStopping):
    """Ends the run after 5 validations whose score is not the highest; one without a score does not count."""

    PATIENCE = 5

    def __init__(self) -> None:
        super().__init__(SCORE, patience=self.PATIENCE, mode="max", check_on_train_epoch_end=False)

    @property
    def state_key(self) -> str:
        """The name under which a checkpoint has the state."""
        return type(self).__name__

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Take the new score, if there is one."""
        if pl_module.score is not None:
            super().on_validation_end(trainer, pl_module)


class RecordFailures(L.Callback):
    """Writes images that no process could read to the record, and lets the run go on."""

    def __init__(self, record: FailureLog) -> None:
        self.record = record

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, i: int
    ) -> None:
        """Note what the training batch lost."""
        self._note(batch.failures)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, i: int, dataloader_idx: int = 0
    ) -> None:
        """Note what the validation batch lost."""
        self._note(batch.failures)

    def _note(self, failures: list[ImageFailure]) -> None:
        if int(reduced(torch.tensor(len(failures)))) == 0:
            return
        everyones: list[list[ImageFailure]] = [failures]
        if world() > 1:
            everyones = [[] for _ in range(world())]
            dist.all_gather_object(everyones, failures)
        if rank() == 0:
            self.record.add(failure for one in everyones for failure in one)


class AverageWeights(WeightAveraging):
    """After each step: average = decay * average + (1 - decay) * weights (Polyak and Juditsky 1992).

    The average starts as the weights after the first step, and takes in the statistics of batch norms.
    Validation sees it, and it is the `state_dict` of a checkpoint, beside which the weights that learn lie.
    Has to come before a callback that saves a checkpoint after a step.
    """

    def __init__(self, decay: float) -> None:
        # Interpolation leaves frozen weights as they are, where a sum of two products would round.
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # not typed in torch
        super().__init__(multi_avg_fn=average)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the weights that learn in place: a run with more epochs goes on from them."""
