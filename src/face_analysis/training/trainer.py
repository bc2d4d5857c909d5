"""The Lightning Trainer of a run, with its loggers and callbacks."""

from __future__ import annotations

import logging
import warnings

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from face_analysis.files import FailureLog
from face_analysis.losses.processes import world
from face_analysis.training.averaging import AverageWeights
from face_analysis.training.callbacks import PlateauSchedule, Progress, RecordFailures, StopOnSignal
from face_analysis.training.checkpoints import Identity, WholeFileIO, savers
from face_analysis.training.hardware import Hardware
from face_analysis.training.metrics_log import MetricsLog
from face_analysis.training.options import TrainOptions
from face_analysis.training.plan import Plan
from face_analysis.training.run_folder import RunFolder
from face_analysis.training.task import SCORE


def make_trainer(
    options: TrainOptions, hardware: Hardware, folder: RunFolder, plan: Plan, failures: FailureLog
) -> L.Trainer:
    """A Trainer for a plan's run, writing into `folder`."""
    callbacks: list[L.Callback] = [
        Identity(plan.identity),
        RecordFailures(failures),
        *([AverageWeights(options.ema)] if options.ema else []),
        Progress(plan.batches.batches.count, options.batch_size // options.accumulate),
        *savers(folder.checkpoints),
        StopOnSignal(folder.checkpoints / "last.ckpt"),
    ]
    if options.lr_plateau:
        callbacks.append(PlateauSchedule())
    if options.early_stop:
        callbacks.append(EarlyStopping(SCORE, patience=5, mode="max", check_on_train_epoch_end=False))
    steps = plan.task.epoch_steps
    _quiet_lightning()
    return L.Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.machines,
        # All processes come to the same averages of batch norms by themselves.
        strategy=DDPStrategy(broadcast_buffers=False) if world() > 1 else "auto",
        precision=hardware.precision,  # type: ignore[arg-type]  # "auto" is resolved by now
        max_epochs=options.epochs,
        accumulate_grad_batches=options.accumulate,
        val_check_interval=min(len(plan.batches), max(1, steps // options.validations) * options.accumulate),
        num_sanity_val_steps=0,
        log_every_n_steps=max(1, min(50, steps // 5)),
        logger=[
            MetricsLog(folder.path / "metrics.csv", plan.task.logged),
            TensorBoardLogger(folder.path, name="", version="tensorboard"),
        ],
        callbacks=callbacks,
        plugins=[WholeFileIO()],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _quiet_lightning() -> None:
    """Keep its advice off the screen: what the user must know is said by this package."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torch.utils.data")
