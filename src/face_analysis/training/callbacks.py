"""What a run does besides learning: progress, schedule on a plateau, stopping on a signal, failed images."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from tqdm import tqdm

from face_analysis.errors import InterruptedRunError
from face_analysis.files import FailureLog
from face_analysis.losses.processes import rank, reduced, world
from face_analysis.training.task import SCORE
from face_analysis.types import ImageFailure


class Progress(L.Callback):
    """A bar on stderr over the whole run: images done, images/s, time left, loss and validation measures."""

    def __init__(self, images: int, batch_size: int) -> None:
        self.images, self.batch_size = images, batch_size

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar where the run begins or goes on."""
        epochs = trainer.max_epochs or 0
        done = trainer.current_epoch * self.images
        self.bar = tqdm(
            total=epochs * self.images,
            initial=done,
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

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the new score."""
        self.schedule.step(float(trainer.callback_metrics[SCORE]))

    def state_dict(self) -> dict[str, Any]:
        """The schedule's counters, for the checkpoint."""
        return self.schedule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until the optimiser exists."""
        self.restored = state_dict


class StopOnSignal(L.Callback):
    """On SIGINT or SIGTERM: finish the step, save `last.ckpt`, end the run. A second one ends it at once."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.received: int | None = None
        self.saved: int | None = None
        self.process = os.getpid()
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over the two signals, from Lightning too, until the run ends."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self.previous[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:
            return  # Ctrl-C reaches the loader's forked workers too; they must go on until the step is done
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        print("stopping after this step; the run can be taken up again with --resume", file=sys.stderr)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where no step is half done; a validation that is due saves by itself."""
        if world() > 1:  # the signal may reach the processes in different steps
            self.received = int(reduced(torch.tensor(self.received or 0), dist.ReduceOp.MAX)) or None
        half_done = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        validation_is_due = (batch_idx + 1) % int(trainer.val_check_batch or 1) == 0
        if self.received is not None and not half_done and not validation_is_due:
            trainer.save_checkpoint(self.checkpoint)
            self.saved = trainer.global_step  # the step's row is written to the log after this callback

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember that the checkpoint is of this step: the one that saves it runs after this callback."""
        self.saved = trainer.global_step

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop in the middle of an epoch."""
        if self.received is not None and self.saved == trainer.global_step:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop at the end of an epoch."""
        if self.received is not None and self.saved == trainer.global_step:
            self._stop(trainer)

    def _stop(self, trainer: L.Trainer) -> None:
        assert self.received is not None
        raise InterruptedRunError(
            self.received,
            f"stopped by {signal.Signals(self.received).name} at step {trainer.global_step}; saved "
            f"{self.checkpoint}: take it up again with --resume {self.checkpoint.parent.parent}",
        )

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Give the signals back."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back after a run that fails or was stopped."""
        self.teardown(trainer, pl_module, "fit")


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
