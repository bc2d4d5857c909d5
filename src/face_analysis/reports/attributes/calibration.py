"""The report of a calibration: whether stated probabilities and intervals hold, in figures and a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from face_analysis.datasets.attributes import Attribute
from face_analysis.evaluation.attributes import Measures
from face_analysis.evaluation.calibration import Reliability
from face_analysis.evaluation.fit_calibration import CalibrationFit
from face_analysis.evaluation.intervals import wilson
from face_analysis.files import whole_file, write_text
from face_analysis.reports.attributes.figures import OKABE_ITO
from face_analysis.reports.markdown_page import markdown_page
from face_analysis.reports.style import MEASURES, PERCEIVED, figure_style, section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKDOWN_NAME, PAGE_NAME = "calibration.md", "calibration.html"
FIGURES = ("calibration_reliability.png", "calibration_age.png")
FEW = 10
GUIDE: dict[str, Any] = {"color": "0.35", "linestyle": "--", "linewidth": 1}


def write_calibration(fit: CalibrationFit, folder: Path) -> None:
    """Write `calibration.md`, `calibration.html` and figures into a folder. Raises WriteError."""
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
    write_text(folder / PAGE_NAME, markdown_page(text, folder))


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


def reliability_figure(found: Mapping[Attribute, Reliability]) -> Figure:
    """Reliability diagrams side by side, an attribute each: accuracy over confidence, and images below.

    A dot is a bin: right of the dashed line the network is surer than it is right. Bars are 95 % Wilson
    intervals of the accuracy; a bin of fewer than FEW images is pale.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * len(found), 6.4), layout="constrained")
    rows = figure.subplots(2, len(found), squeeze=False, sharex="col", height_ratios=[3, 1])
    for column, (attribute, bins) in enumerate(found.items()):
        _diagram(rows[0, column], bins, OKABE_ITO[attribute])
        _histogram(rows[1, column], bins, OKABE_ITO[attribute])
        rows[0, column].set_title(
            f"{attribute.capitalize()}: n = {bins.count.sum()},\n"
            f"expected calibration error {100 * bins.error:.1f} %"
        )
    rows[0, 0].set_ylabel("Accuracy (%), 95 % interval; dashed: ideal")
    rows[1, 0].set_ylabel("Images")
    figure.align_ylabels(rows[:, 0])
    return figure


def coverage_figure(overall: Measures, by_age: Mapping[str, Measures], stated: float) -> Figure:
    """Share of true ages inside their interval, and its mean width, by band of true age and for all.

    `overall` as `measure_intervals` gives it, `by_age` as `measure_intervals_by_age`; `stated` is the
    coverage, 0 to 1, that the intervals were made for.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    found = {**by_age, "all": overall}
    figure = Figure(figsize=(1.6 + 0.85 * len(found), 6.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    top.axhline(100 * stated, **GUIDE)
    _estimates(top, found, "coverage", 100)
    _estimates(bottom, found, "width", 1)
    top.set_ylim(min(top.get_ylim()[0], 100 * stated - 5), 101)
    top.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    bottom.set_ylim(0, 1.05 * bottom.get_ylim()[1])
    top.set_ylabel("Ages inside the interval (%)")
    bottom.set_ylabel("Mean width (years)")
    names = [f"{name}\nn =\n{measures['coverage'].count}" for name, measures in found.items()]
    bottom.set_xticks(range(len(found)), names)
    bottom.set_xlabel("True age (years, as perceived); bars: 95 % intervals")
    top.set_title(
        f"Age: intervals stated to hold {100 * stated:g} % (dashed), n = {overall['coverage'].count}"
    )
    figure.align_ylabels([top, bottom])
    return figure


def _diagram(axes: Axes, bins: Reliability, colour: str) -> None:
    filled = bins.count > 0
    confidence, accuracy = 100 * bins.confidence[filled], 100 * bins.accuracy[filled]
    rates = zip(bins.accuracy[filled].tolist(), bins.count[filled].tolist(), strict=True)
    low, high = np.transpose([wilson(rate, count) for rate, count in rates])
    ends = np.maximum([accuracy - 100 * low, 100 * high - accuracy], 0)
    first = 100 * int(np.argmax(filled)) / len(filled)  # where the lowest bar below begins
    start = 10 * np.floor(min(first, confidence.min(), accuracy.min(), 90) / 10)
    axes.plot([start, 100], [start, 100], **GUIDE)
    for rows, alpha in ((bins.count[filled] >= FEW, 1.0), (bins.count[filled] < FEW, 0.3)):
        dots = confidence[rows], accuracy[rows], ends[:, rows]
        axes.errorbar(*dots, fmt="o", color=colour, alpha=alpha, capsize=3)
    ticks = np.arange(100, start - 1, -10 if start >= 40 else -20)
    axes.set(xlim=(start - 2, 102), ylim=(start - 2, 102), xticks=ticks, yticks=ticks)
    axes.grid(alpha=0.3)


def _histogram(axes: Axes, bins: Reliability, colour: str) -> None:
    """The images of each bin, written upright above its bar, since the bars of most are too low to read."""
    width = 100 / len(bins.count)
    for index, count in enumerate(bins.count):
        if count:
            middle = (index + 0.5) * width
            axes.bar(middle, count, 0.9 * width, color=colour, alpha=0.75)
            axes.annotate(
                str(count), (middle, count), (0, 3), textcoords="offset points", rotation=90,
                ha="center", va="bottom", fontsize=8,
            )  # fmt: skip
    axes.set(ylim=(0, 1.45 * bins.count.max()), yticks=[])
    axes.set_xlabel("Confidence in the predicted class (%)")


def _estimates(axes: Axes, found: Mapping[str, Measures], name: str, scale: float) -> None:
    """Dots with 95 % intervals, a place on the x axis each; the last, for all, in grey behind a line."""
    colours = [OKABE_ITO["age"]] * (len(found) - 1) + ["0.35"]
    for place, (measures, colour) in enumerate(zip(found.values(), colours, strict=True)):
        estimate = measures[name]
        ends = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
        axes.errorbar(
            [place], [estimate.value * scale], np.maximum(ends, 0) * scale, fmt="o", color=colour, capsize=4
        )
    axes.axvline(len(found) - 1.5, color="0.8", linewidth=1)
    axes.set_xlim(-0.5, len(found) - 0.5)
    axes.grid(axis="y", alpha=0.3)
