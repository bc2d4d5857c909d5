"""The files of a calibration: how far stated probabilities and intervals hold."""

from __future__ import annotations

from pathlib import Path

from face_analysis.evaluation.fit_calibration import CalibrationFit
from face_analysis.files import whole_file, write_text
from face_analysis.reports.attributes.calibration_figures import coverage_figure, reliability_figure
from face_analysis.reports.figure_style import figure_style
from face_analysis.reports.markdown import section
from face_analysis.reports.measure_text import MEASURES, PERCEIVED

MARKDOWN_NAME = "calibration.md"
FIGURES = ("calibration_reliability.png", "calibration_age.png")


def write_calibration(fit: CalibrationFit, folder: Path) -> None:
    """Write `calibration.md` and its figures into a folder, made if absent. Raises WriteError."""
    text = f"# Calibration\n\n{PERCEIVED}\n{calibration_table(fit)}\n"
    with figure_style():
        figures = {}
        if fit.reliability:
            figures[FIGURES[0]] = reliability_figure(fit.reliability)
        if fit.intervals:
            stated = fit.calibration["age"]["coverage"]
            figures[FIGURES[1]] = coverage_figure(fit.intervals, fit.intervals_by_age, stated)
        for name in FIGURES:
            (folder / name).unlink(missing_ok=True)
        for name, figure in figures.items():
            with whole_file(folder / name) as partial:
                figure.savefig(partial, format="png")
            text += f"\n![{Path(name).stem.replace('_', ' ')}]({name})\n"
    write_text(folder / MARKDOWN_NAME, text)


def calibration_table(fit: CalibrationFit) -> str:
    """Temperatures and calibration errors, then coverage and width of the intervals of age, as Markdown."""
    rows = [
        [
            name,
            f"{fit.calibration[name]['temperature']:.3f}",
            f"{100 * fit.uncalibrated[name].error:.1f}",
            f"{100 * fit.reliability[name].error:.1f}",
            str(fit.reliability[name].count.sum()),
        ]
        for name in fit.reliability
    ]
    heads = ["attribute", "temperature", "error before (%)", "error after (%)", "n"]
    lines = list(section("Expected calibration error, on images not fitted on", heads, rows)) if rows else []
    if fit.intervals:
        stated = fit.calibration["age"]["coverage"]
        title = f"Age: intervals made to hold {stated:.0%} of true ages, on images not fitted on"
        heads = ["true age", MEASURES["coverage"].heading, MEASURES["width"].heading]
        bands = {**fit.intervals_by_age, "all": fit.intervals}
        rows = [
            [name, *(MEASURES[key].write(band[key]) for key in ("coverage", "width"))]
            for name, band in bands.items()
        ]
        lines += section(title, heads, rows)
    return "\n".join(lines)
