"""A training run from first to last."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from face_analysis.files import FailureLog, write_text
from face_analysis.losses.processes import rank
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.options import to_yaml
from face_analysis.training.background import BackgroundIO
from face_analysis.training.checked import check
from face_analysis.training.checkpoints import read_checkpoint, resume_point
from face_analysis.training.data import val_loader, watched_workers
from face_analysis.training.hardware import choose
from face_analysis.training.options import TrainOptions
from face_analysis.training.plan import Plan, new_network, plan_of
from face_analysis.training.run_folder import RunFolder, run_folder
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
    with the input, and later NonFiniteLossError, WriteError, DeadWorkerError or InterruptedRunError for what
    stopped the run; its last checkpoint is kept.
    """
    check(options)
    plan = plan_of(options)
    checkpoint = resume_point(options.resume, plan.identity) if options.resume else None
    hardware = choose(options)

    folder = run_folder(options)
    if rank() == 0:
        write_text(folder.path / "config.yaml", to_yaml(options))
    log.info("training on %s; run folder %s", hardware.description, folder.path)
    failures = FailureLog(folder.errors, keep=checkpoint is not None or rank() > 0)
    if rank() == 0:
        failures.add(plan.failures)
    with BackgroundIO() as files, watched_workers():
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


def _best_network(folder: RunFolder, options: TrainOptions) -> AttributeNetwork | Backbone:
    state = read_checkpoint(folder.best)["state_dict"]
    network = new_network(options)
    prefix = "network."
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    network.load_state_dict(own)
    return network.eval()
