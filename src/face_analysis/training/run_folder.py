"""The folder of a run: its options, logs, checkpoints, and the best model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from face_analysis.errors import UsageError, WriteError
from face_analysis.training.options import TrainOptions


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """best.ckpt and last.ckpt."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """The best model with its card."""
        return self.path / "model.safetensors"

    @property
    def errors(self) -> Path:
        """Images that could not be read."""
        return self.path / "errors.csv"


def run_folder(options: TrainOptions) -> RunFolder:
    """Make the folder, or find the one to resume in. Raises UsageError where another run lies there."""
    name = options.prefix or "-".join(options.attribute)
    path = options.output
    if path is None and options.resume is not None and options.resume.is_dir():
        path = options.resume
    if path is None:
        path = Path("runs") / f"{name}_{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder = RunFolder(path)
    if options.resume is None and folder.checkpoints.exists() and any(folder.checkpoints.iterdir()):
        raise UsageError(f"{path} holds a run already; choose another --output, or --resume {path}")
    try:
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(path, error) from error
    return folder
