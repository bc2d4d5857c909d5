"""The page of training runs: one HTML file with its figures and tables in it."""

from __future__ import annotations

from collections.abc import Sequence

from face_analysis.reports.page import Picture, render
from face_analysis.reports.runs.comparison import Comparison
from face_analysis.reports.runs.tables import (
    group_table,
    measure_table,
    settings_table,
    shared_table,
    summary,
    unfinished,
    values_table,
)


def run_page(comparison: Comparison, pictures: Sequence[Picture], note: str, options: str) -> str:
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
