"""A training run from first to last."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from face_analysis.errors import UsageError, WriteError
from face_analysis.files import FailureLog, remove_partials, write_text
from face_analysis.losses.processes import first_ones, rank
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.options import to_yaml
from face_analysis.training.checked import check
from face_analysis.training.data import val_loader
from face_analysis.training.hardware import choose
from face_analysis.training.launch import watched_processes
from face_analysis.training.options import TrainOptions
from face_analysis.training.plan import Plan, new_network, plan_of
from face_analysis.training.saving.background import BackgroundIO
from face_analysis.training.saving.checkpoints import read_checkpoint, resume_point
from face_analysis.training.saving.run_folder import RunFolder
from face_analysis.training.trainer import make_trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """What a run leaves: its folder, the best network, what it was trained on, and the unreadable images."""

    folder: RunFolder
    network: AttributeNetwork | Backbone
    plan: Plan
    failures: FailureLog
    options: TrainOptions


def train(options: TrainOptions) -> TrainedRun:
    """Train; the best network is what the run gives, and lies in `checkpoints/best.ckpt`.

    Every process of a run on several devices calls it. Raises, before the first step, UsageError,
    MissingFileError, ListFormatError, EmptyDataError, PackedFileError or ModelMismatchError for what is wrong
    with the input, and later NonFiniteLossError, WriteError, DeadProcessError or InterruptedRunError for what
    stopped the run; its last checkpoint is kept.
    """
    check(options)
    checkpoint = resume_point(options.resume) if options.resume else None
    hardware = choose(options, checkpoint.precision if checkpoint else None)
    options = replace(options, precision=hardware.precision)
    plan = plan_of(options)
    if checkpoint:
        checkpoint.require(plan.identity)

    folder = _opened_folder(options)
    if rank() == 0:
        write_text(folder.config, to_yaml(options))
    log.info("training on %s; run folder %s", hardware.description, folder.path)
    failures = FailureLog(folder.errors, keep=checkpoint is not None or rank() > 0)
    if rank() == 0:
        failures.add(plan.failures)
    with BackgroundIO() as files, watched_processes():
        done = checkpoint.step if checkpoint else 0
        trainer = make_trainer(options, hardware, folder, plan, failures, files, done)
        trainer.fit(
            plan.task,
            plan.batches,
            [val_loader(data, options) for data in plan.validation],
            ckpt_path=checkpoint.path if checkpoint else None,
            weights_only=True,
        )
        trainer.save_checkpoint(folder.last)

    return TrainedRun(folder, _best_network(folder, options), plan, failures, options)


def _opened_folder(options: TrainOptions) -> RunFolder:
    """The folder that the first process makes, or finds, for all.

    Raises UsageError where another run lies there, WriteError where it cannot be made.
    """
    folder = RunFolder(first_ones(_path(options)))
    if rank() > 0:
        return folder
    if options.resume is None and any(folder.checkpoints.glob("*.ckpt")):
        raise UsageError(
            f"{folder.path} holds a run already; choose another --output, or --resume {folder.path}"
        )
    try:
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        remove_partials(folder.path)
    except OSError as error:
        raise WriteError(folder.path, error) from error
    return folder


def _path(options: TrainOptions) -> Path:
    if options.output is not None:
        return options.output
    if options.resume is not None and options.resume.is_dir():
        return options.resume
    name = options.prefix or "-".join(options.attribute)
    return Path("runs") / f"{name}_{datetime.now():%Y-%m-%d_%H-%M-%S}"


def _best_network(folder: RunFolder, options: TrainOptions) -> AttributeNetwork | Backbone:
    state = read_checkpoint(folder.best)["state_dict"]
    network = new_network(options)
    prefix = "network."
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    network.load_state_dict(own)
    return network.eval()
