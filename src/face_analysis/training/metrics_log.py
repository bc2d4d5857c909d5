"""`metrics.csv` of a run: one fixed set of columns, appended to when a run is resumed."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from face_analysis.errors import WriteError


class MetricsLog(Logger):
    """A row a logging step; columns without a value in that row stay empty."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        super().__init__()
        self.path = path
        self.columns = ("epoch", "step", *columns)

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
                writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow({name: _number(value) for name, value in {**metrics, "step": step}.items()})
        except OSError as error:
            raise WriteError(self.path, error) from error


def _number(value: float | None) -> str:
    return "" if value is None else f"{float(value):.9g}"
