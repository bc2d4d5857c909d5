"""Run folders of `train`, read for a comparison: settings, and what was logged."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from face_analysis.errors import ListFormatError, MissingFileError, PackedFileError
from face_analysis.options import to_yaml
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.run_folder import SCORE, RunFolder

NOT_SETTINGS = {"output", "prefix", "preset", "resume", "workers", "device", "threads"}
"""Options that change where a run is kept and how fast its images are loaded, not what it computes."""


@dataclass(frozen=True)
class TrainingRun:
    """One run.

    `curves` hold the value after each logged step, by the log's columns; `epochs` the epoch of each step.
    Steps and epochs count from 0, steps ascend. `finished` says that the run came to its end, early or not,
    and left its model.
    """

    name: str
    settings: dict[str, Any]
    curves: dict[str, dict[int, float]]
    epochs: dict[int, int]
    finished: bool

    @property
    def done(self) -> int:
        """How many epochs it began."""
        return max(self.epochs.values(), default=-1) + 1

    @property
    def best(self) -> int | None:
        """The step with the highest validation score, whose network is kept; None before a validation."""
        scores = self.curves.get(SCORE, {})
        return max(
            (step for step in scores if math.isfinite(scores[step])), key=scores.__getitem__, default=None
        )

    @property
    def last(self) -> int | None:
        """The step of the last validation."""
        return max(self.curves.get(SCORE, {}), default=None)

    def best_and_last(self, column: str) -> tuple[float | None, float | None]:
        """What the log has in a column at the best validation and at the last."""
        curve = self.curves.get(column, {})
        best, last = (None if step is None else curve.get(step) for step in (self.best, self.last))
        return best, last

    def images(self, step: int) -> int:
        """How many images it had learnt from after a step, with repetitions."""
        return (step + 1) * int(self.settings["batch_size"])


def read_runs(folders: Sequence[Path]) -> list[TrainingRun]:
    """The runs of folders, named as these, or where two names are alike by their paths.

    Raises MissingFileError without `metrics.csv` or `config.yaml`, PackedFileError for settings that are none
    of `train`, ListFormatError for a log that is not.
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = without_common_folder([str(folder.resolve()) for folder in folders])
    return [_read_run(name, RunFolder(folder)) for name, folder in zip(names, folders, strict=True)]


def without_common_folder(texts: Sequence[str]) -> list[str]:
    """Paths without the folders that they all begin with; other texts as they are."""
    start = texts[0]
    while not all(text.startswith(start) for text in texts):
        start = start[:-1]
    return [text[start.rfind("/") + 1 :] for text in texts]


def _read_run(name: str, folder: RunFolder) -> TrainingRun:
    if not folder.log.is_file():
        raise MissingFileError(folder.log, "log of a training run")
    settings = _settings(folder.config)
    curves, epochs = _log(folder.log)
    run = TrainingRun(name, settings, curves, epochs, finished=False)
    model = folder.weights.is_file()
    if run.done < settings["epochs"]:
        return replace(run, finished=bool(model and settings["early_stop"]))
    # A folder without checkpoints is what was kept of a run, not one that goes on.
    return replace(run, finished=model or not folder.checkpoints.is_dir())


def _settings(path: Path) -> dict[str, Any]:
    """All options of a run; those that its `config.yaml` does not name have their defaults."""
    if not path.is_file():
        raise MissingFileError(path, "options of a training run")
    defaults = yaml.safe_load(to_yaml(TrainOptions(attribute=())))
    try:
        settings = defaults | yaml.safe_load(path.read_text(encoding="utf-8"))
        whole = bool(settings["attribute"]) and min(settings["batch_size"], settings["epochs"]) > 0
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise PackedFileError(f"{path}: not the options of a training run ({error})") from error
    if not whole:
        raise PackedFileError(f"{path}: not the options of a training run (no attribute, images or epochs)")
    order = [item.name for item in fields(TrainOptions)]
    return {name: settings[name] for name in (*order, *settings) if name in settings.keys() - NOT_SETTINGS}


def _log(path: Path) -> tuple[dict[str, dict[int, float]], dict[int, int]]:
    """Curves and epochs; of a step that was taken again after a resume, what was logged last."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text[: text.rfind("\n") + 1].splitlines()  # a run that goes on may be writing its last line
    curves: dict[str, dict[int, float]] = {}
    epochs: dict[int, int] = {}
    for step, epoch, values in _rows(path, lines):
        epochs[step] = epoch
        for name, value in values.items():
            curves.setdefault(name, {})[step] = value
    return {name: dict(sorted(curve.items())) for name, curve in curves.items()}, epochs


def _known(cell: str) -> bool:
    return cell != "" and math.isfinite(float(cell))


def _rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, int, dict[str, float]]]:
    reader = csv.DictReader(lines)
    try:
        names = reader.fieldnames or ()
        if not {"epoch", "step"} <= set(names):
            raise ValueError("the columns `epoch` and `step` are missing")
        if any(Path(name).name != name or not name.isprintable() for name in names):
            raise ValueError("a column has a name that no file can have")
        for row in reader:
            step, epoch = int(row.pop("step")), int(row.pop("epoch"))
            yield step, epoch, {name: float(cell) for name, cell in row.items() if _known(cell)}
    except (ValueError, TypeError, csv.Error) as error:
        reason = f"not the log of a training run ({error}); restore the file or leave the run out"
        raise ListFormatError(path, reader.line_num, reason) from error
