"""What a run leaves in its folder: options, logs, checkpoints, and the best model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SCORE = "val_score"
"""What chooses the best network: logged by every task, higher is better."""


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder."""

    path: Path

    def clear(self) -> None:
        """Remove what an earlier run left, but for reports. Raises OSError."""
        curves = self.path.glob("tensorboard/events.out.tfevents.*")
        for path in (
            self.config,
            self.log,
            self.last,
            self.best,
            self.weights,
            self.people,
            self.errors,
            *curves,
        ):
            path.unlink(missing_ok=True)

    @property
    def config(self) -> Path:
        """The options, resolved."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """What was measured, a row a logging step."""
        return self.path / "metrics.csv"

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
    def people(self) -> Path:
        """Which person each class of a recognition run is."""
        return self.path / "people.csv"

    @property
    def errors(self) -> Path:
        """Images that could not be read."""
        return self.path / "errors.csv"
