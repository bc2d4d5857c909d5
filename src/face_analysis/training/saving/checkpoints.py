"""Checkpoints: named by what they hold, refused where they do not fit, and what is left to do after them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from face_analysis.errors import FinishedRunError, MissingFileError, ModelMismatchError, UsageError
from face_analysis.machine import Form
from face_analysis.training.data import IMAGES, ORDER, TRAINING_IMAGES
from face_analysis.training.optimiser import EarlyStop
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.run_folder import RunFolder
from face_analysis.training.tasks.recognition import PEOPLE

log = logging.getLogger(__name__)

IDENTITY = "face_analysis"
COMPUTED_WITH = ("precision", "threads", "accumulate")
"""The entries that say how it is computed; they may change when a run is resumed, unlike the rest."""


def computed_with(options: TrainOptions) -> dict[str, Any]:
    """The entries of the options that say how the run is computed."""
    return {name: getattr(options, name) for name in COMPUTED_WITH}


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint: its steps from the run's beginning, how it is computed, and what run it is of.

    `content` is all of the file, mapped into memory: a process reads what it takes of it, and not the classes
    of others. `form` says in which number format and on how many threads it began, `parts` in how many parts
    of a step. So many of its epochs are `begun` and `done`; `order` is what the order of the images follows
    from. `people` are those of a recognition run; `stopped_early` says that no gain ended it.
    """

    path: Path
    content: dict[str, Any] = field(repr=False)
    step: int
    form: Form
    parts: int
    identity: dict[str, Any]
    begun: int
    done: int
    order: dict[str, Any]
    people: tuple[str, ...]
    stopped_early: bool

    def require_people(self, people: tuple[str, ...]) -> None:
        """Raises ModelMismatchError, naming one who differs, where the classes are of other people."""
        if people == self.people or not people or not self.people:
            return  # a run of attributes has none; that it is another task is said as such
        changed = [f"`{name}` is missing" for name in self.people if name not in set(people)]
        changed += [f"`{name}` is new" for name in people if name not in set(self.people)]
        raise ModelMismatchError(
            f"{self.path} is a run of {len(self.people)} people, and these images are of {len(people)}: "
            f"{changed[0] if changed else 'they are the same'}; give the images it was started with"
        )

    def require_order(self, order: dict[str, Any]) -> None:
        """Raises ModelMismatchError where an epoch was broken off whose images come in another order now."""
        changed = [name for name, value in order.items() if self.order.get(name) != value]
        if changed and self.begun > self.done:
            name = changed[0]
            raise ModelMismatchError(
                f"{self.path} lies within an epoch, whose images would come in another order now: "
                f"{name} {self.order.get(name)}, not {order[name]}; give what it was started with"
            )
        if TRAINING_IMAGES in changed:
            log.warning("%s goes on with other training images than it began with", self.path)

    def require(self, identity: dict[str, Any]) -> None:
        """Raises ModelMismatchError, naming what differs, where it is of another run."""
        for what, wanted in identity.items():
            if (there := self.identity.get(what)) != wanted:
                raise ModelMismatchError(
                    f"{self.path} is a run of {what} {there}, not of {wanted}; "
                    "give the options it was started with, or start a new run without --resume"
                )


def resume_point(resume: Path) -> ResumePoint:
    """The checkpoint of a run folder (its last) or a file. Raises MissingFileError or ModelMismatchError."""
    path, folder = resume, RunFolder(resume)
    if resume.is_dir():
        # A run that was killed while it saved for the first time may have its best network alone.
        path = folder.last if folder.last.exists() or not folder.best.exists() else folder.best
    if not path.is_file():
        raise MissingFileError(path, "checkpoint to resume")
    content = read_checkpoint(path)
    precision, threads, parts = (content[IDENTITY][name] for name in COMPUTED_WITH)
    return ResumePoint(
        path,
        content,
        content["step"],
        Form(precision, threads),
        parts,
        content[IDENTITY],
        content["epoch"] + (content[IMAGES] > 0),
        content["epoch"],
        content[ORDER],
        tuple(content.get(PEOPLE, ())),
        (content["early_stop"] or {}).get("waited", 0) >= EarlyStop.PATIENCE,
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, without running code from it. Raises ModelMismatchError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds for a file that is damaged or foreign
        reason = str(error) or type(error).__name__
        raise ModelMismatchError(f"{path} is not a whole checkpoint of this program: {reason}") from error
    if not isinstance(content, dict) or IDENTITY not in content:
        raise ModelMismatchError(f"{path} is not a checkpoint of this program's training")
    return content


def epochs_left(checkpoint: ResumePoint, folder: RunFolder, options: TrainOptions) -> bool:
    """Whether there is something to train; if not, the folder lacks but the model of its best network.

    Raises UsageError for fewer epochs than the run has begun, and where a finished run is to go on in another
    folder; FinishedRunError where nothing at all is left.
    """
    begun, made = checkpoint.begun, _epochs(checkpoint.done)
    if options.epochs < begun:
        part = " and a part of the next one" if begun > checkpoint.done else ""
        raise UsageError(
            f"--epochs {options.epochs}: {checkpoint.path} has made {made}{part}; give more epochs to go on"
        )
    stopped = options.early_stop and checkpoint.stopped_early
    if checkpoint.done < options.epochs and not stopped:
        return True
    finished = f"{checkpoint.path} is of a finished run: {made} of {options.epochs} made"
    more = "give more --epochs to go on"
    if stopped:
        finished += ", then stopped early"
        more = f"set `early_stop: false` in {folder.config} to go on"
    if folder.weights.is_file():
        raise FinishedRunError(f"{finished}; its model is {folder.weights}; {more}")
    if not folder.best.is_file():
        raise UsageError(f"{finished}, so there is nothing to do in {folder.path}; {more}")
    return False


def _epochs(count: int) -> str:
    return f"{count} epoch" + "s" * (count != 1)
