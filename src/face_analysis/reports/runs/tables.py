"""Training runs in words: how they differ, how far they came, and what validation found."""

from __future__ import annotations

from collections.abc import Iterator

from face_analysis.reports.page import Table
from face_analysis.reports.runs.comparison import SEED, Comparison, RunGroup, is_measure, setting_text
from face_analysis.reports.runs.curves import curve_text
from face_analysis.reports.runs.training_runs import TrainingRun

MOST_NAMED = 6
"""Settings that a sentence names and a table has as columns."""


def summary(comparison: Comparison) -> str:
    """How many runs share which settings, as sentences."""
    runs, groups = comparison.runs, comparison.groups
    if len(runs) == 1:
        return "One run; its settings stand below."
    told = "the same settings"
    if comparison.differing:
        count = f"{len(comparison.differing)} settings"
        told = f"{len(groups)} choices of {', '.join(comparison.differing) if _few(comparison) else count}"
    if SEED not in comparison.shared:
        told += " and different seeds"
    return f"{len(runs)} runs with {told}. All {len(runs)} share the other {len(comparison.shared)} settings."


def unfinished(comparison: Comparison) -> list[str]:
    """A line for each run that is not at its end."""
    return [f"{run.name}: {_state(run)}" for run in comparison.runs if not run.finished]


def settings_table(comparison: Comparison) -> Table:
    """A row a run: the settings that differ, if they are few, its seed, and how far it came."""
    names = comparison.differing if _few(comparison) else ()
    rows = [
        (run.name, *(setting_text(run, name) for name in (*names, SEED)), _state(run))
        for run in comparison.runs
    ]
    return Table(("run", *names, SEED, "trained"), rows)


def values_table(comparison: Comparison) -> Table | None:
    """Where many settings differ, a row for each value of each of them: the runs that have it."""
    if _few(comparison):
        return None
    found: dict[tuple[str, str], list[str]] = {}
    for name in comparison.differing:
        for run in comparison.runs:
            found.setdefault((name, setting_text(run, name)), []).append(run.name)
    return Table(("setting", "value", "runs"), [(*key, ", ".join(names)) for key, names in found.items()])


def shared_table(comparison: Comparison) -> Table:
    """A row for each setting that all runs share."""
    run = comparison.runs[0]
    return Table(("setting", "value"), [(name, setting_text(run, name)) for name in comparison.shared])


def measure_table(comparison: Comparison) -> Table:
    """A row a run: each measure at the best validation / at the last; blank where a run has it not."""
    measures = _measures(comparison)
    rows = [
        (run.name, _epoch(run), *(_best_and_last(run, name) for name in measures)) for run in comparison.runs
    ]
    return Table(("run", "best epoch", *(curve_text(name).heading for name in measures)), rows)


def group_table(comparison: Comparison) -> Table:
    """A row for runs that differ by their seed alone: the mean of their best validations, lowest and highest.

    Only runs that are finished count, and the last column tells how many these are.
    """
    measures = _measures(comparison)
    rows = [
        (
            group.label,
            *(_spread(group, name) for name in measures),
            f"{sum(run.finished for run in group.runs)} of {len(group.runs)}",
        )
        for group in comparison.groups
    ]
    return Table(("settings", *(curve_text(name).heading for name in measures), "finished"), rows)


def run_columns(comparison: Comparison) -> tuple[str, ...]:
    """The header of the CSV that `run_rows` is of."""
    measures = (f"{when}_{name}" for name in _measures(comparison) for when in ("best", "last"))
    return ("group", "run", *comparison.differing, SEED, "finished", "epochs", "best_epoch", *measures)


def run_rows(comparison: Comparison) -> Iterator[tuple[object, ...]]:
    """A row a run: what the tables show of it, in the log's numbers; epochs count from 1."""
    for group in comparison.groups:
        for run in group.runs:
            told = (setting_text(run, name) for name in (*comparison.differing, SEED))
            values = (value for name in _measures(comparison) for value in run.best_and_last(name))
            yield (group.label, run.name, *told, run.finished, run.done, _epoch(run), *values)


def _few(comparison: Comparison) -> bool:
    return len(comparison.differing) <= MOST_NAMED


def _measures(comparison: Comparison) -> list[str]:
    return [name for name in comparison.columns if is_measure(name)]


def _state(run: TrainingRun) -> str:
    if run.finished:
        return f"{run.done} epochs"
    return f"unfinished, in epoch {max(run.done, 1)} of {run.settings['epochs']}"


def _epoch(run: TrainingRun) -> str:
    return "" if run.best is None else str(run.epochs[run.best] + 1)


def _best_and_last(run: TrainingRun, name: str) -> str:
    return " / ".join(_text(name, value) for value in run.best_and_last(name) if value is not None)


def _spread(group: RunGroup, name: str) -> str:
    found = (run.best_and_last(name)[0] for run in group.runs if run.finished)
    values = [value for value in found if value is not None]
    if not values:
        return ""
    mean, low, high = (_text(name, value) for value in (sum(values) / len(values), min(values), max(values)))
    return mean if len(values) == 1 else f"{mean} [{low}, {high}]"


def _text(name: str, value: float) -> str:
    text = curve_text(name)
    return f"{text.scale * value:.{text.decimals}f}"
