"""The training loop: all that happens between a run's first step and its last, in the order it happens.

Fabric knows the devices, the number format and the processes. A batch of the loader is a part of a step: with
--accumulate N, the gradients of N parts add up before the optimiser moves the weights. A step only tells the
device what to do. `_read` is where the host waits for it, and hears what other processes have to say.
"""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from itertools import takewhile
from typing import Any

import torch
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad_norm_

from face_analysis.datasets.faces import FaceBatch
from face_analysis.distributed import (
    all_gather_objects,
    all_reduce_largest,
    broadcast_tensors_from_rank0,
    rank,
)
from face_analysis.files import FailureLog
from face_analysis.training.averaging import WeightAverage
from face_analysis.training.data import IMAGES, described, val_loader
from face_analysis.training.fabric import count_overflow_once, fabric_of, scaler_of
from face_analysis.training.feeding import Feeder
from face_analysis.training.hardware import Hardware
from face_analysis.training.metrics import MetricsLog, Progress
from face_analysis.training.notes import Note, non_finite_loss, read
from face_analysis.training.optimiser import EarlyStop, Schedule, optimiser_of
from face_analysis.training.options import TrainOptions
from face_analysis.training.plan import Plan, steps_per_validation
from face_analysis.training.saving.background import CheckpointWriter
from face_analysis.training.saving.checkpoints import IDENTITY, ResumePoint, computed_with
from face_analysis.training.saving.run_folder import RunFolder
from face_analysis.training.saving.signals import StopSignals
from face_analysis.training.tasks.task import Position
from face_analysis.types import ImageFailure

READ_EVERY = 20
"""Steps from one look at what the device and the other processes have to the next."""
log = logging.getLogger(__name__)


class TrainingLoop:
    """A plan's run, which writes into `folder` and appends images that cannot be read to `failures`."""

    def __init__(
        self,
        options: TrainOptions,
        hardware: Hardware,
        folder: RunFolder,
        plan: Plan,
        failures: FailureLog,
        writer: CheckpointWriter,
    ) -> None:
        self.options, self.folder, self.plan, self.failures = options, folder, plan, failures
        self.writer = writer
        self.task, self.batches = plan.task, plan.batches
        self.validated = [described(data) for data in plan.validation]
        self.at = Position()
        self.highest = -math.inf
        self.fabric = fabric_of(options, hardware)
        self.task.at = self.at
        self.task.prepare(self.fabric.device)
        self.optimiser = optimiser_of(self.task.groups(), options)
        self.module, self.stepper = self.fabric.setup(self.task, self.optimiser)
        self.scaler = scaler_of(self.fabric)
        self.optimiser.register_step_pre_hook(count_overflow_once)
        self.optimiser.register_step_post_hook(self._move_others)
        self.schedule = Schedule(self.optimiser, options, self.task.epoch_steps)
        self.average = WeightAverage(self.task.network, options.ema) if options.ema else None
        self.early_stop = EarlyStop() if options.early_stop else None
        device = self.fabric.device
        self.feeder = Feeder(self.batches, device)
        self.val_feeders = [Feeder(val_loader(data, options), device) for data in plan.validation]
        self.notes: list[Note] = []
        self.unreadable: list[ImageFailure] = []
        self.val_every = min(
            len(self.batches),
            steps_per_validation(self.task.epoch_steps, options) * options.accumulate,
        )
        self.log_every = max(1, min(50, self.task.epoch_steps // 5))

    def run(self, checkpoint: ResumePoint | None) -> None:
        """Train to the last epoch, or until no validation gains; the last checkpoint is the end's."""
        if checkpoint is not None:
            self._restore(checkpoint)
        self._reserve_copies()
        with (
            MetricsLog(self.folder, self.task.logged, self.at.step) as self.metrics,
            Progress(self.options, self.batches.batches.count, self.at) as self.progress,
            StopSignals(self.folder.last) as self.signals,
        ):
            self.module.train()
            while self.at.epoch < self.options.epochs and not self._gains_no_more():
                self._train_epoch()
            self._save()

    def _train_epoch(self) -> None:
        """Take the batches of an epoch that are left, with validations in between."""
        self.batches.batches.set_epoch(self.at.epoch)
        for batch in self.feeder:
            self._train_part(batch)
            if self.at.epoch > 0 and self._gains_no_more():
                return

    def _train_part(self, batch: FaceBatch) -> None:
        """Learn from one batch; then step, log, validate and save as far as each is due."""
        self.progress.begin()
        epoch, parts = self.at.epoch, self.at.part + 1
        whole_epoch = parts == len(self.batches)
        whole_step = parts % self.options.accumulate == 0
        stepped = whole_step or whole_epoch
        self._backward(batch, last_part=stepped)
        self._note(batch, logged=stepped and (self.at.step + 1) % self.log_every == 0)
        if stepped:
            self._step()
        self.at.part = parts
        if whole_epoch:
            self.schedule.end_epoch()
            self.at.end_epoch()
        self.progress.update(epoch, parts)
        self.writer.poll()
        if parts % self.val_every == 0:
            self._validate(epoch)
        elif whole_step:
            self._rest()

    def _backward(self, batch: FaceBatch, *, last_part: bool) -> None:
        """Add the gradients of a part of a step; processes exchange them with the last one."""
        self.at.learning_rate = self.schedule.learning_rate
        waiting = nullcontext() if last_part else self.fabric.no_backward_sync(self.module)
        with waiting:
            loss = self.module(batch)
            self.fabric.backward(loss / self.options.accumulate)

    def _step(self) -> None:
        """Move the weights, then all that follows them."""
        if self.scaler is not None:
            self._unscale(self.scaler)
        if self.options.clip:
            learning = [weight for group in self.optimiser.param_groups for weight in group["params"]]
            clip_grad_norm_(learning, self.options.clip)
        self.stepper.step()
        self.stepper.zero_grad()
        self.schedule.end_step()
        if self.average is not None:
            self.average.update()
        self.at.step += 1

    def _unscale(self, scaler: GradScaler) -> None:
        """Divide all gradients by the scale of float16; an overflow in one of them leaves out the step."""
        groups = self.optimiser.param_groups
        groups.append({"params": self.task.moved_apart()})
        scaler.unscale_(self.optimiser)
        groups.pop()

    def _move_others(self, *_: Any) -> None:
        """Move, at the end of the optimiser's step, what it does not; with float16 it knows of overflows."""
        self.task.after_step(getattr(self.optimiser, "found_inf", None))

    def _note(self, batch: FaceBatch, *, logged: bool) -> None:
        """Keep what a part of a step gave until it is read."""
        assert batch.rows is not None
        self.notes.append(Note(self.at.epoch, self.at.step, batch.rows, logged, dict(self.task.measured)))
        self.unreadable += batch.failures

    def _read(self) -> None:
        """Wait for the device: log what the steps gave since the last time, and see that it is finite.

        In one message the processes tell whether one has a loss that is not, was asked to stop, or could not
        read an image.
        """
        notes, self.notes = read(self.notes), []
        broken = int(not all(note.finite for note in notes))
        broken, number, failures = all_reduce_largest(broken, self.signals.number, len(self.unreadable))
        self.signals.agree(number)
        if failures:
            everyones, self.unreadable = all_gather_objects(self.unreadable), []
            if rank() == 0:
                self.failures.add(failure for one in everyones for failure in one)
        for note in takewhile(lambda note: note.finite, notes):
            if note.logged:
                self.metrics.write(note.epoch, note.step, note.measures)
        if notes:
            self.progress.trained(notes[-1].measures)
        if broken:
            raise non_finite_loss(notes, self.task.image_name)

    def _rest(self) -> None:
        """Between two steps: read or save if it is time, stop if a signal asks for it."""
        if self.at.step % READ_EVERY == 0:
            self._read()
        due = self.options.save_every and self.at.step % self.options.save_every == 0
        if due or self.signals.received():
            self._save()
        if self.signals.received():
            self._stop()

    def _validate(self, epoch: int) -> None:
        """Measure the network, or the average of its weights; keep it if it is the best."""
        self._read()
        self.module.eval()
        with self.average.in_place() if self.average else nullcontext(), torch.no_grad():
            # Without --sync_batchnorm each process has averages of its own.
            broadcast_tensors_from_rank0(self.task.network.buffers())
            self.task.begin_validation()
            for number, feeder in enumerate(self.val_feeders):
                for batch in feeder:
                    with self.fabric.autocast():
                        self.task.validate(batch, number)
                    self.unreadable += batch.failures
            measures, score = self.task.end_validation()
        self.module.train()
        self.metrics.write(epoch, self.at.step - 1, measures)
        self.progress.validated(measures)
        if score is not None:
            self.schedule.end_validation(score)
            if self.early_stop is not None:
                self.early_stop.take(score)
        none_yet = self.highest == -math.inf and not self.folder.best.exists()
        best = none_yet or (score is not None and score > self.highest)
        self.highest = max(self.highest, -math.inf if score is None else score)
        self._save(best=best)
        if self.signals.received():
            self._stop()

    def _gains_no_more(self) -> bool:
        return self.early_stop is not None and self.early_stop.reached

    def _stop(self) -> None:
        self.writer.finish()
        self.signals.end_run(self.at.step)

    def _reserve_copies(self) -> None:
        """Take the memory for copies of the weights, and of what the optimiser keeps of them."""
        if rank() == 0:
            kept = 2 if isinstance(self.optimiser, torch.optim.AdamW) else 1
            learning = [weight for group in self.optimiser.param_groups for weight in group["params"]]
            self.writer.reserve([*self.task.state_dict().values(), *kept * learning])

    def _save(self, *, best: bool = False) -> None:
        """Write the last checkpoint, and before it the best one where this is the best.

        All steps are read before it: weights after a loss that is not finite do not reach a file.
        """
        self._read()
        content = self._content()  # of which every process has a part
        if rank() == 0:
            self.writer.save(content, [*([self.folder.best] if best else []), self.folder.last])

    def _content(self) -> dict[str, Any]:
        learning = self.task.state_dict()
        average = {} if self.average is None else self.average.state_dict("network.")
        return {
            IDENTITY: {**self.plan.identity, **computed_with(self.options)},
            "step": self.at.step,
            "epoch": self.at.epoch,
            **self.batches.position(self.at.part),
            "state_dict": {**learning, **average},
            "learning": learning if average else {},
            "optimizer": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": {} if self.scaler is None else self.scaler.state_dict(),
            "early_stop": None if self.early_stop is None else self.early_stop.state_dict(),
            "highest": self.highest,
            "first_learning_rates": [group["lr"] for group in self.task.groups()],
            "validated": self.validated,
            **self.task.extra_state(),
        }

    def _restore(self, checkpoint: ResumePoint) -> None:
        """Go on from a checkpoint, with the batches and learning rates of this run's own options."""
        content = checkpoint.content
        self.at.step, self.at.epoch = content["step"], content["epoch"]
        self.at.part = self.batches.skip(content[IMAGES])
        self.task.load_state_dict(content["learning"] or content["state_dict"])
        self.task.load_extra_state(content)
        if self.average is not None:
            self.average.load_state_dict(content["state_dict"], "network.")
        self.optimiser.load_state_dict(content["optimizer"])
        if self.scaler is not None and content["scaler"]:
            self.scaler.load_state_dict(content["scaler"])
        same_validation = content["validated"] == self.validated
        if not same_validation:
            log.warning("validated on other images than before: scores are compared anew from here on")
        self.schedule.resume(
            content["schedule"],
            self.at.epoch * self.task.epoch_steps - (-self.at.part // self.options.accumulate),
            self.task.groups(),
            content["first_learning_rates"],
            same_validation=same_validation,
        )
        if same_validation:
            if self.folder.best.exists():
                self.highest = content["highest"]
            if self.early_stop is not None and content["early_stop"]:
                self.early_stop.load_state_dict(content["early_stop"])
        content.clear()  # or the file would stay on the disk after the next checkpoint takes its place
