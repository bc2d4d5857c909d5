"""Checkpoints: named by what they hold, and refused where they do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

from face_analysis.errors import MissingFileError, ModelMismatchError
from face_analysis.training.options import Precision
from face_analysis.training.saving.run_folder import RunFolder

IDENTITY = "face_analysis"
PRECISION = "precision"
"""The entry that says the number format; it may change when a run is resumed, unlike the rest."""


class Identity(L.Callback):
    """Writes into each checkpoint what run it is of."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add the entry."""
        checkpoint[IDENTITY] = self.identity


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint, its steps from the run's beginning, its number format, and what run it is of."""

    path: Path
    step: int
    precision: Precision
    identity: dict[str, Any]

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
    identity = content[IDENTITY]
    return ResumePoint(path, content["global_step"], identity[PRECISION], identity)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, without running code from it. Raises ModelMismatchError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is damaged or foreign
        raise ModelMismatchError(f"{path} is not a whole checkpoint of this program: {error}") from error
    if not isinstance(content, dict) or IDENTITY not in content:
        raise ModelMismatchError(f"{path} is not a checkpoint of this program's training")
    return content
