"""What a run tells while it goes: `metrics.csv`, TensorBoard's curves, and a bar on stderr."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from face_analysis.distributed import rank
from face_analysis.errors import WriteError
from face_analysis.files import write_csv
from face_analysis.training.notes import TRAIN_LOSS
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.run_folder import SCORE, RunFolder
from face_analysis.training.tasks.task import Position

Measures = Mapping[str, float]


class MetricsLog:
    """A row a logging step in `metrics.csv`, and the same as curves; the first process alone writes.

    Rows have the fixed `columns`; those without a value stay empty. A resumed run drops a row cut short, and
    what was noted after its first `steps` steps, which are taken again.
    """

    def __init__(self, folder: RunFolder, columns: tuple[str, ...], steps: int) -> None:
        self.path = folder.log
        self.columns = ("epoch", "step", *columns)
        self._curves: SummaryWriter | None = None
        if rank() == 0:
            self._cut(steps)
            self._curves = SummaryWriter(str(folder.path / "tensorboard"), purge_step=steps or None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._curves is not None:
            self._curves.close()

    def write(self, epoch: int, step: int, measures: Measures) -> None:
        """Append a row. Raises WriteError."""
        if self._curves is None:
            return
        values = {"epoch": epoch, "step": step, **measures}
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n")
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow({name: _number(value) for name, value in values.items()})
        except OSError as error:
            raise WriteError(self.path, error) from error
        for name in values.keys() - {"step"}:
            self._curves.add_scalar(name, values[name], step)

    def _cut(self, steps: int) -> None:
        if not self.path.exists():
            return
        with self.path.open(newline="", encoding="utf-8") as file:
            noted = list(csv.DictReader(line for line in file if line.endswith("\n")))
        kept = [row for row in noted if int(row["step"]) < steps]
        write_csv(self.path, self.columns, [[row.get(name) for name in self.columns] for row in kept])


def _number(value: float) -> str:
    return f"{value:.9g}" if math.isfinite(value) else ""


class Progress:
    """A bar on stderr over the whole run: images done, images/s, time left, loss and validation measures."""

    def __init__(self, options: TrainOptions, images: int, at: Position) -> None:
        self.part_size, self.images, self.epochs, self.at = options.part_size, images, options.epochs, at
        self._bar: tqdm[Any] | None = None
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self) -> None:
        """Open the bar at the batch where the run begins or goes on."""
        if self._bar is None:
            self._bar = tqdm(
                total=self.epochs * self.images,
                initial=self.at.epoch * self.images + self.at.part * self.part_size,
                unit=" images",
                file=sys.stderr,
                dynamic_ncols=True,
                mininterval=0.5 if sys.stderr.isatty() else 15,
                disable=rank() > 0,
            )

    def update(self, epoch: int, parts: int) -> None:
        """Count the images of so many parts of an epoch."""
        assert self._bar is not None
        self._bar.set_description(f"epoch {epoch}", refresh=False)
        self._bar.set_postfix(self._shown, refresh=False)
        done = epoch * self.images + min(parts * self.part_size, self.images)
        self._bar.update(done - self._bar.n)

    def trained(self, measures: Measures) -> None:
        """Show the loss of a step from now on."""
        if TRAIN_LOSS in measures:
            self._shown["loss"] = f"{measures[TRAIN_LOSS]:.4g}"

    def validated(self, measures: Measures) -> None:
        """Show the measures of a validation from now on."""
        self._shown |= {
            name.removeprefix("val_"): f"{value:.4g}" for name, value in measures.items() if name != SCORE
        }
