"""The report on training runs: its files, its tables, and one HTML page with all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from face_analysis.files import whole_file
from face_analysis.reports.page import Picture, Table, base64_text, render
from face_analysis.reports.runs.comparison import SEED, RunComparison, RunGroup, is_measure, setting_text
from face_analysis.reports.runs.figures import curve_about, curve_figure, curve_rows, curve_text, is_smoothed
from face_analysis.reports.runs.training_runs import TrainingRun
from face_analysis.reports.style import figure_style
from face_analysis.reports.tables import write_table

CURVE_COLUMNS = ("group", "run", "seed", "epoch", "step", "images", "value")
MOST_NAMED = 6
"""Settings that a sentence names and a table has as columns."""


def write_run_report(comparison: RunComparison, folder: Path) -> list[Picture]:
    """Write `runs.csv`, and `curve_NAME.png` and `.csv` of each column of the logs; the figures in order.

    Curves that an earlier report left are removed. Raises WriteError.
    """
    for stale in folder.glob("curve_*.*"):
        stale.unlink()
    write_table(folder / "runs.csv", run_columns(comparison), run_rows(comparison))
    pictures = []
    for column in comparison.columns:
        header = (*CURVE_COLUMNS, "smoothed") if is_smoothed(column) else CURVE_COLUMNS
        write_table(folder / f"curve_{column}.csv", header, curve_rows(comparison.groups, column))
        path = folder / f"curve_{column}.png"
        with figure_style(), whole_file(path) as partial:
            curve_figure(comparison, column).savefig(partial, format="png")
        pictures.append(
            Picture(curve_text(column).heading, curve_about(column), base64_text(path.read_bytes()))
        )
    return pictures


def run_page(comparison: RunComparison, pictures: Sequence[Picture], note: str, options: str) -> str:
    """The page as HTML, with nothing to fetch from elsewhere; `pictures` are those of write_run_report.

    `note` stands at its head, `options` are those of the report, as YAML.
    """
    several = len(comparison.groups) < len(comparison.runs)
    names = [run.name for run in comparison.runs]
    return render(
        "runs.html.j2",
        title=f"Training run {names[0]}" if len(names) == 1 else f"{len(names)} training runs",
        note=note,
        summary=summary(comparison),
        unfinished=unfinished(comparison),
        groups=group_table(comparison) if several else None,
        measures=measure_table(comparison),
        settings=settings_table(comparison),
        values=values_table(comparison),
        pictures=pictures,
        shared=shared_table(comparison),
        options={"face-analysis report": options},
    )


def summary(comparison: RunComparison) -> str:
    """How many runs share which settings, as sentences."""
    runs, groups = comparison.runs, comparison.groups
    if len(runs) == 1:
        return "One run; its settings stand below."
    settings = "the same settings"
    if comparison.differing:
        count = f"{len(comparison.differing)} settings"
        settings = (
            f"{len(groups)} choices of {', '.join(comparison.differing) if _few(comparison) else count}"
        )
    if SEED not in comparison.shared:
        settings += " and different seeds"
    others = f"All {len(runs)} share the other {len(comparison.shared)} settings."
    return f"{len(runs)} runs with {settings}. {others}"


def unfinished(comparison: RunComparison) -> list[str]:
    """A line for each run that is not at its end."""
    return [f"{run.name}: {_state(run)}" for run in comparison.runs if not run.finished]


def settings_table(comparison: RunComparison) -> Table:
    """A row a run: the settings that differ, if they are few, its seed, and how far it came."""
    names = comparison.differing if _few(comparison) else ()
    rows = [
        (run.name, *(setting_text(run, name) for name in (*names, SEED)), _state(run))
        for run in comparison.runs
    ]
    return Table(("run", *names, SEED, "trained"), rows)


def values_table(comparison: RunComparison) -> Table | None:
    """Where many settings differ, a row for each value of each of them: the runs that have it."""
    if _few(comparison):
        return None
    found: dict[tuple[str, str], list[str]] = {}
    for name in comparison.differing:
        for run in comparison.runs:
            found.setdefault((name, setting_text(run, name)), []).append(run.name)
    return Table(("setting", "value", "runs"), [(*key, ", ".join(names)) for key, names in found.items()])


def shared_table(comparison: RunComparison) -> Table:
    """A row for each setting that all runs share."""
    run = comparison.runs[0]
    return Table(("setting", "value"), [(name, setting_text(run, name)) for name in comparison.shared])


def measure_table(comparison: RunComparison) -> Table:
    """A row a run: each measure at the best validation / at the last; blank where a run has it not."""
    measures = _measures(comparison)
    rows = [
        (run.name, _epoch(run), *(_best_and_last(run, name) for name in measures)) for run in comparison.runs
    ]
    return Table(("run", "best epoch", *(curve_text(name).heading for name in measures)), rows)


def group_table(comparison: RunComparison) -> Table:
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


def run_columns(comparison: RunComparison) -> tuple[str, ...]:
    """The header of the CSV that `run_rows` is of."""
    measures = (f"{when}_{name}" for name in _measures(comparison) for when in ("best", "last"))
    return ("group", "run", *comparison.differing, SEED, "finished", "epochs", "best_epoch", *measures)


def run_rows(comparison: RunComparison) -> Iterator[tuple[object, ...]]:
    """A row a run: what the tables show of it, in the log's numbers; epochs count from 1."""
    for group in comparison.groups:
        for run in group.runs:
            settings = (setting_text(run, name) for name in (*comparison.differing, SEED))
            values = (value for name in _measures(comparison) for value in run.best_and_last(name))
            yield (group.label, run.name, *settings, run.finished, run.done, _epoch(run), *values)


def _few(comparison: RunComparison) -> bool:
    return len(comparison.differing) <= MOST_NAMED


def _measures(comparison: RunComparison) -> list[str]:
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
