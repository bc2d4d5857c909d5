"""When a run saves: after validations, every so many steps, and when a signal stops it."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist

from face_analysis.errors import InterruptedRunError
from face_analysis.losses.processes import reduced, world
from face_analysis.training.saving.background import BackgroundIO
from face_analysis.training.saving.run_folder import RunFolder


def between_steps(trainer: L.Trainer, batch_idx: int) -> bool:
    """Whether no step is half done after this batch, and no validation due, which comes first and saves."""
    half_done = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
    validation_is_due = (batch_idx + 1) % int(trainer.val_check_batch or 1) == 0
    return not half_done and not validation_is_due


class Saver(L.Callback):
    """Renews `last.ckpt` after each validation and every `every` steps (0: not), and `best.ckpt` after the
    validation with the highest score. Has to come after the callbacks whose state a validation changes."""

    def __init__(self, folder: RunFolder, every: int, files: BackgroundIO) -> None:
        self.folder, self.every, self.files = folder, every, files
        self.highest = -math.inf

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the memory for copies of the weights, and of what the optimiser keeps of them."""
        if not trainer.is_global_zero:
            return
        optimiser = trainer.optimizers[0]
        kept = 2 if isinstance(optimiser, torch.optim.AdamW) else 1
        learning = [weight for group in optimiser.param_groups for weight in group["params"]]
        self.files.reserve([*pl_module.state_dict().values(), *kept * learning])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time. Raises the WriteError of an earlier save."""
        self.files.poll()
        if self.every and trainer.global_step % self.every == 0 and between_steps(trainer, batch_idx):
            trainer.save_checkpoint(self.folder.last)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Save, as the best too if it is."""
        score = -math.inf if pl_module.score is None else pl_module.score
        none_yet = self.highest == -math.inf and not self.folder.best.exists()
        best = score > self.highest or none_yet  # of validations without a score the first
        self.highest = max(self.highest, score)
        trainer.save_checkpoint(self.folder.last, storage_options=self.folder.best if best else None)

    def state_dict(self) -> dict[str, float]:
        """The score of `best.ckpt`, for the checkpoint."""
        return {"highest": self.highest}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on from there, unless the run goes on in another folder."""
        if self.folder.best.exists():
            self.highest = state_dict["highest"]


class StopOnSignal(L.Callback):
    """On SIGINT or SIGTERM: finish the step, save `last.ckpt`, end the run. A second one ends it at once.

    Has to come after the saver.
    """

    def __init__(self, checkpoint: Path, files: BackgroundIO) -> None:
        self.checkpoint, self.files = checkpoint, files
        self.received: int | None = None
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
            kept = (
                "the last checkpoint is kept" if self.checkpoint.exists() else "there was no checkpoint yet"
            )
            raise InterruptedRunError(number, f"stopped at once by a second signal; {kept}")
        self.received = number
        print("stopping after this step; the run can be taken up again with --resume", file=sys.stderr)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop where no step is half done and no validation due."""
        if between_steps(trainer, batch_idx) and self._asked():
            trainer.save_checkpoint(self.checkpoint)
            self._stop(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop: the validation has been saved."""
        if self._asked():
            self._stop(trainer)

    def _asked(self) -> bool:
        """Whether any process was; the signal may reach them at different times."""
        if world() > 1:
            self.received = int(reduced(torch.tensor(self.received or 0), dist.ReduceOp.MAX)) or None
        return self.received is not None

    def _stop(self, trainer: L.Trainer) -> None:
        assert self.received is not None
        self.files.finish()
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
