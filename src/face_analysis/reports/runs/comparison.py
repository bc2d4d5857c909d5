"""Training runs side by side: which settings differ, and which runs differ by their seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from face_analysis.reports.runs.training_runs import TrainingRun, without_common_folder
from face_analysis.training.saving.run_folder import SCORE

SEED = "seed"
LONGEST_LABEL = 60
"""Characters up to which a label names every setting that differs."""


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ by their seed alone, and the settings that tell them from others."""

    label: str
    runs: tuple[TrainingRun, ...]


@dataclass(frozen=True)
class RunComparison:
    """Runs by group.

    `differing` names the settings that are not alike, without the seed; `shared` are those that are.
    """

    groups: tuple[RunGroup, ...]
    differing: tuple[str, ...]
    shared: dict[str, Any]

    @property
    def runs(self) -> tuple[TrainingRun, ...]:
        """All runs, in the order of the groups."""
        return tuple(run for group in self.groups for run in group.runs)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the runs logged, of validation first, otherwise in the order of the logs.

        The score is left out where it is no more than the one measure of each run.
        """
        names = list(dict.fromkeys(name for run in self.runs for name in run.curves))
        if all(len(_measures(run)) < 3 for run in self.runs):
            names = [name for name in names if name != SCORE]
        return tuple(sorted(names, key=lambda name: not is_measure(name)))


def is_measure(column: str) -> bool:
    """Whether a column of a log is of validation."""
    return column.startswith("val_")


def compare(runs: Sequence[TrainingRun]) -> RunComparison:
    """Group the runs, in the order of the first of each group."""
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    alike = {name for name in names if len({setting_text(run, name) for run in runs}) == 1}
    differing = tuple(name for name in names if name not in alike and name != SEED)
    found: dict[tuple[str, ...], list[TrainingRun]] = {}
    for run in runs:
        found.setdefault(tuple(setting_text(run, name) for name in differing), []).append(run)
    labels = _labels(differing, list(found)) if differing else [runs[0].name if len(runs) == 1 else ""]
    groups = (
        RunGroup(_counted(label, len(group)), tuple(group))
        for label, group in zip(labels, found.values(), strict=True)
    )
    return RunComparison(
        tuple(groups), differing, {name: runs[0].settings[name] for name in names if name in alike}
    )


def setting_text(run: TrainingRun, name: str) -> str:
    """A setting as the pages have it; `default` where the option was not given and the program chose."""
    value = run.settings.get(name)
    if value is None:
        return "default"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _measures(run: TrainingRun) -> list[str]:
    return [name for name in run.curves if is_measure(name)]


def _counted(label: str, count: int) -> str:
    if not label:
        return f"{count} runs"
    return label if count == 1 else f"{label} ({count} runs)"


def _labels(names: Sequence[str], values: Sequence[tuple[str, ...]]) -> list[str]:
    """A label for each row of values: all settings, or where that is too long those that tell them apart."""
    columns = {
        name: without_common_folder(texts)
        for name, texts in zip(names, zip(*values, strict=True), strict=True)
    }
    for name in sorted(columns, key=lambda name: -max(map(len, columns[name]))):
        rest = {other: texts for other, texts in columns.items() if other != name}
        if max(map(len, _joined(columns))) <= LONGEST_LABEL:
            break
        if rest and len(set(_joined(rest))) == len(values):
            columns = rest
    return _joined(columns)


def _joined(columns: dict[str, list[str]]) -> list[str]:
    cells = [[f"{name} {text}" for text in texts] for name, texts in columns.items()]
    return [", ".join(row) for row in zip(*cells, strict=True)]
