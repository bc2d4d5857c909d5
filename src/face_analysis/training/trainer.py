"""The Lightning Trainer of a run, with its loggers and callbacks."""

from __future__ import annotations

import logging
import warnings

import lightning as L
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from face_analysis.files import FailureLog
from face_analysis.losses.processes import rank, world
from face_analysis.training.callbacks import (
    AverageWeights,
    PlateauSchedule,
    Progress,
    RecordFailures,
    StopEarly,
)
from face_analysis.training.data import described
from face_analysis.training.hardware import Hardware
from face_analysis.training.options import TrainOptions
from face_analysis.training.plan import Plan, steps_per_validation
from face_analysis.training.saving.background import BackgroundIO
from face_analysis.training.saving.checkpoints import Identity, computed_with
from face_analysis.training.saving.metrics_log import LogSteps, MetricsLog
from face_analysis.training.saving.position import ContinueRun
from face_analysis.training.saving.run_folder import RunFolder
from face_analysis.training.saving.saver import Saver, StopOnSignal


def make_trainer(
    options: TrainOptions,
    hardware: Hardware,
    folder: RunFolder,
    plan: Plan,
    failures: FailureLog,
    files: BackgroundIO,
    done: int,
) -> L.Trainer:
    """A Trainer for a plan's run, writing into `folder`, that goes on after `done` steps."""
    steps = plan.task.epoch_steps
    _quiet_lightning()
    return L.Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.machines,
        # All processes come to the same averages of batch norms by themselves.
        strategy=DDPStrategy(broadcast_buffers=False) if world() > 1 else "auto",
        precision=options.precision,  # type: ignore[arg-type]  # "auto" is resolved by now
        max_epochs=options.epochs,
        accumulate_grad_batches=options.accumulate,
        gradient_clip_val=options.clip or None,
        val_check_interval=min(len(plan.batches), steps_per_validation(steps, options) * options.accumulate),
        num_sanity_val_steps=0,
        log_every_n_steps=0,
        logger=_loggers(folder, plan, done),
        callbacks=_callbacks(options, folder, plan, failures, files),
        plugins=[files],
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _loggers(folder: RunFolder, plan: Plan, done: int) -> list[Logger]:
    metrics = MetricsLog(folder.log, plan.task.logged)
    if rank() == 0:
        metrics.cut(done)
    return [metrics, TensorBoardLogger(folder.path, name="", version="tensorboard", purge_step=done or None)]


def _callbacks(
    options: TrainOptions, folder: RunFolder, plan: Plan, failures: FailureLog, files: BackgroundIO
) -> list[L.Callback]:
    callbacks: list[L.Callback] = [
        Identity({**plan.identity, **computed_with(options)}),
        ContinueRun(plan.batches, [described(data) for data in plan.validation], options),
        RecordFailures(failures),
        *([AverageWeights(options.ema)] if options.ema else []),
        LogSteps(max(1, min(50, plan.task.epoch_steps // 5))),
        Progress(plan.batches.batches.count, options.part_size),
    ]
    if options.lr_plateau:
        callbacks.append(PlateauSchedule())
    if options.early_stop:
        callbacks.append(StopEarly())
    return [*callbacks, Saver(folder, options.save_every, files), StopOnSignal(folder.last, files)]


def _quiet_lightning() -> None:
    """Keep its advice off the screen: what the user must know is said by this package."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torch.utils.data")
