"""Checkpoints: written whole, named by what they hold, and refused where they do not fit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from face_analysis.errors import MissingFileError, ModelMismatchError
from face_analysis.files import whole_file
from face_analysis.training.task import SCORE

IDENTITY = "face_analysis"


class WholeFileIO(TorchCheckpointIO):
    """Lightning's checkpoint files, but synced and renamed when whole; a full disk leaves the old one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write one checkpoint. Raises WriteError."""
        content = io.BytesIO()  # torch hides the reason of a failed write; a plain write tells it
        torch.save(checkpoint, content)
        with whole_file(path) as partial:
            partial.write_bytes(content.getbuffer())


class Identity(L.Callback):
    """Writes into each checkpoint what run it is of."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add the entry."""
        checkpoint[IDENTITY] = self.identity


def savers(folder: Path) -> list[ModelCheckpoint]:
    """The callbacks that keep `best.ckpt` and `last.ckpt`, both renewed after a validation."""
    common = {"dirpath": folder, "save_on_train_epoch_end": False, "enable_version_counter": False}
    best = ModelCheckpoint(filename="best", monitor=SCORE, mode="max", **common)  # type: ignore[arg-type]
    last = ModelCheckpoint(filename="last", **common)  # type: ignore[arg-type]
    return [best, last]


def resume_point(resume: Path, identity: dict[str, Any]) -> Path:
    """The checkpoint of a run folder (its last) or a file, if it is of a run with this identity."""
    path = resume / "checkpoints" / "last.ckpt" if resume.is_dir() else resume
    if not path.is_file():
        raise MissingFileError(path, "checkpoint to resume")
    found = read_checkpoint(path).get(IDENTITY, {})
    for what, wanted in identity.items():
        if found.get(what) != wanted:
            raise ModelMismatchError(
                f"{path} is a run of {what} {found.get(what)}, not of {wanted}; "
                "give the options it was started with, or start a new run without --resume"
            )
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, without running code from it. Raises ModelMismatchError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is damaged or foreign
        raise ModelMismatchError(f"{path} is not a whole checkpoint of this program: {error}") from error
    if not isinstance(content, dict) or IDENTITY not in content:
        raise ModelMismatchError(f"{path} is not a checkpoint of this program's training")
    return content
