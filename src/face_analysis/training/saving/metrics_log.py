"""`metrics.csv` of a run: one fixed set of columns, gone on with when a run is resumed."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from face_analysis.errors import WriteError
from face_analysis.files import write_csv


class MetricsLog(Logger):
    """A row a logging step; columns without a value in that row stay empty."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        super().__init__()
        self.path = path
        self.columns = ("epoch", "step", *columns)

    def cut(self, steps: int) -> None:
        """Drop a row cut short, and what a run noted after its first `steps` steps, which are taken again."""
        if not self.path.exists():
            return
        with self.path.open(newline="", encoding="utf-8") as file:
            noted = list(csv.DictReader(line for line in file if line.endswith("\n")))
        kept = [row for row in noted if int(row["step"]) < steps]
        write_csv(self.path, self.columns, [[row.get(name) for name in self.columns] for row in kept])

    @property
    def name(self) -> str:
        """Not used: the run folder is the name."""
        return ""

    @property
    def version(self) -> str:
        """Not used, likewise."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row. Raises WriteError."""
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n")
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow({name: _number(value) for name, value in {**metrics, "step": step}.items()})
        except OSError as error:
            raise WriteError(self.path, error) from error


class LogSteps(L.Callback):
    """Logs every `every`-th step before another callback may save it: Lightning itself would do it after."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember what was logged before."""
        self.logged = trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the step that this batch ends, if it does."""
        done, before = trainer.global_step, self.logged
        self.logged = done
        if done == before or done % self.every != 0:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        of_the_step = {name: value for name, value in values.items() if not name.startswith("val_")}
        for logger in trainer.loggers:
            logger.log_metrics({"epoch": trainer.current_epoch, **of_the_step}, done - 1)


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{float(value):.9g}"
