"""A training run from first to last."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from face_analysis.distributed import broadcast_from_rank0, rank
from face_analysis.errors import WriteError
from face_analysis.files import FailureLog, write_csv, write_text
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.options import to_yaml
from face_analysis.outputs import claim_folder
from face_analysis.training.checked import check
from face_analysis.training.hardware import Hardware, choose
from face_analysis.training.launch import watched_processes
from face_analysis.training.loop import TrainingLoop
from face_analysis.training.options import TrainOptions, to_keep
from face_analysis.training.plan import Plan, new_network, plan_of
from face_analysis.training.saving.background import CheckpointWriter
from face_analysis.training.saving.checkpoints import ResumePoint, epochs_left, read_checkpoint, resume_point
from face_analysis.training.saving.run_folder import RunFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """What a run leaves: its folder, the best network, what it was trained on, and the unreadable images."""

    folder: RunFolder
    network: AttributeNetwork | Backbone
    plan: Plan
    failures: FailureLog
    options: TrainOptions


def train(options: TrainOptions, held: ExitStack | None = None) -> TrainedRun:
    """Train; the best network is what the run gives, and lies in `checkpoints/best.ckpt`.

    Every process of a run on several devices calls it. The run folder is claimed until the run is trained, or
    with `held` until that is closed. Raises, before the first step, UsageError,
    MissingFileError, ListFormatError, EmptyDataError, PackedFileError or ModelMismatchError for what is wrong
    with the input, and FinishedRunError for a resumed run with nothing left to do; later NonFiniteLossError,
    WriteError, DeadProcessError or InterruptedRunError for what stopped the run, whose last checkpoint is
    kept.
    """
    check(options)
    checkpoint = resume_point(options.resume) if options.resume else None
    hardware = choose(options, checkpoint.form if checkpoint else None)
    options = replace(
        options,
        precision=hardware.form.precision,
        threads=hardware.form.threads,
        accumulate=options.accumulate or (checkpoint.parts if checkpoint else 0),
    )
    folder = RunFolder(broadcast_from_rank0(_path(options)))
    going_on = checkpoint is None or epochs_left(checkpoint, folder, options)
    plan = plan_of(options)
    options = plan.options
    if checkpoint:
        checkpoint.require_people(plan.people)
        checkpoint.require(plan.identity)
        checkpoint.require_order(plan.batches.order)

    with ExitStack() as claims:
        (held or claims).enter_context(_claimed(folder, options))
        failures = FailureLog(folder.errors, keep=checkpoint is not None or rank() > 0)
        if going_on:
            _learn(options, hardware, folder, plan, failures, checkpoint)
        else:
            log.info("%s has made all its epochs; its model is still to be written", folder.path)
        return TrainedRun(folder, _best_network(folder, options), plan, failures, options)


def _learn(
    options: TrainOptions,
    hardware: Hardware,
    folder: RunFolder,
    plan: Plan,
    failures: FailureLog,
    checkpoint: ResumePoint | None,
) -> None:
    """Write down what is trained, and train."""
    log.info("training on %s; run folder %s", hardware.description, folder.path)
    if rank() == 0:
        write_text(folder.config, to_yaml(to_keep(options)))
        failures.add(plan.failures)
        if plan.people:
            write_csv(folder.people, ("class", "person"), enumerate(plan.people))
    with watched_processes():
        with CheckpointWriter() as writer:
            TrainingLoop(options, hardware, folder, plan, failures, writer).run(checkpoint)
        broadcast_from_rank0(None)  # others wait until the first process has written the best network


@contextmanager
def _claimed(folder: RunFolder, options: TrainOptions) -> Iterator[None]:
    """Let the first process claim the folder for all. Raises as `claim_folder`."""
    if rank() > 0:
        yield
        return
    resumed = options.resume is not None and folder.path.resolve() in (
        options.resume.resolve(),
        *options.resume.resolve().parents,
    )
    lists = [Path(name) for name in (options.train_list, *options.val_list) if name is not None]
    read = (options.train_source, options.val_source, *lists)
    with claim_folder(folder.path, read, overwrite=options.overwrite, resume=resumed):
        try:
            if options.overwrite:
                folder.clear()
            folder.checkpoints.mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(folder.path, error) from error
        yield


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
