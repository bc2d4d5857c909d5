"""The folder of a run: its options, logs, checkpoints, and the best model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from face_analysis.errors import UsageError, WriteError
from face_analysis.files import remove_partials
from face_analysis.losses.processes import first_ones, rank
from face_analysis.training.options import TrainOptions


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where the two checkpoints are."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The checkpoint that --resume takes up."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint with the highest validation score."""
        return self.checkpoints / "best.ckpt"

    @property
    def weights(self) -> Path:
        """The best model with its card."""
        return self.path / "model.safetensors"

    @property
    def errors(self) -> Path:
        """Images that could not be read."""
        return self.path / "errors.csv"


def run_folder(options: TrainOptions) -> RunFolder:
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
