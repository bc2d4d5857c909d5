"""The files of a report on training runs: a figure for each logged value, with its CSV, and a row a run."""

from __future__ import annotations

from pathlib import Path

from face_analysis.files import whole_file
from face_analysis.reports.figure_style import figure_style
from face_analysis.reports.page import Picture, base64_text
from face_analysis.reports.runs.comparison import Comparison
from face_analysis.reports.runs.curves import curve_about, curve_rows, curve_text, is_smoothed
from face_analysis.reports.runs.figures import curve_figure
from face_analysis.reports.runs.tables import run_columns, run_rows
from face_analysis.reports.tables import write_table

CURVE_COLUMNS = ("group", "run", "seed", "epoch", "step", "images", "value")


def write_run_report(comparison: Comparison, folder: Path) -> list[Picture]:
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
