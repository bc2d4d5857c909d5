"""The evaluation of attributes as figures: PNG, colour-blind safe, every one with its number of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, MAX_AGE, Attribute, known
from face_analysis.evaluation.attributes import DECADES, AttributeMetrics
from face_analysis.evaluation.attributes_by_group import AttributeReport, EvaluationReport
from face_analysis.evaluation.intervals import Estimate
from face_analysis.reports.style import COLOURS, MEASURES, MEASURES_OF, MeasureText, figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OKABE_ITO: dict[Attribute, str] = dict(zip(("race", "gender", "age"), COLOURS, strict=False))

FEW_IMAGES = 50
"""Images up to which each has a mark of its own, as single cells are too small to see."""
FIGURE_NAMES = (
    *(f"{name}_confusion.png" for name in CLASS_NAMES),
    *(f"{name}_by_group.png" for name in ATTRIBUTES),
    "age_by_decade.png",
    "age_scatter.png",
)
"""Every file name that `write_figures` can use."""


def write_figures(
    report: EvaluationReport,
    labels: Mapping[Attribute, NDArray[np.integer]],
    predictions: Mapping[Attribute, NDArray[np.number]],
    folder: Path,
) -> list[Path]:
    """Write a report's figures as PNG into an existing folder; the paths, ordered as FIGURE_NAMES.

    `labels` and `predictions` are the arrays (N,) that `evaluate` measured; the age scatter is drawn from
    them. An attribute without a known label has no figure. Raises OSError where the disk refuses.
    """
    with figure_style():
        figures = attribute_figures(report, labels, predictions)
        for name, figure in figures.items():
            figure.savefig(folder / name)
    return [folder / name for name in figures]


def attribute_figures(
    report: EvaluationReport,
    labels: Mapping[Attribute, NDArray[np.integer]],
    predictions: Mapping[Attribute, NDArray[np.number]],
) -> dict[str, Figure]:
    """The figures by their file names, ordered as FIGURE_NAMES."""
    figures: dict[str, Figure] = {}
    for attribute, part in report.attributes.items():
        if part.overall.count == 0:
            continue
        figures[f"{attribute}_by_group.png"] = group_figure(part)
        if attribute == "age":
            figures["age_by_decade.png"] = decade_figure(part.overall)
            figures["age_scatter.png"] = age_figure(labels["age"], predictions["age"])
        else:
            figures[f"{attribute}_confusion.png"] = confusion_figure(part.overall)
    return {name: figures[name] for name in FIGURE_NAMES if name in figures}


def confusion_figure(metrics: AttributeMetrics) -> Figure:
    """Confusion of race or gender: percentages of each true class, the number of images below them."""
    from matplotlib.figure import Figure

    matrix = metrics.confusion
    assert matrix is not None
    names, shown = CLASS_NAMES[metrics.attribute], matrix.sum(axis=1)
    rates = np.divide(matrix, shown[:, None], out=np.full(matrix.shape, np.nan), where=shown[:, None] > 0)
    side = 2.6 + 1.15 * len(names)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(np.ma.masked_invalid(100 * rates), cmap="cividis", vmin=0, vmax=100)
    axes.set_facecolor("0.88")
    for row, column in np.ndindex(*matrix.shape):
        text = "0" if np.isnan(rates[row, column]) else f"{rates[row, column]:.1%}\n{matrix[row, column]}"
        colour = "white" if rates[row, column] < 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    rows = [f"{name}\n(n = {count})" for name, count in zip(names, shown, strict=True)]
    axes.set_xticks(range(len(names)), [name.replace("-", "-\n") for name in names])
    axes.set_yticks(range(len(names)), rows)
    axes.set(xlabel=f"Predicted {metrics.attribute}", ylabel=f"True {metrics.attribute} (as perceived)")
    axes.set_title(f"{metrics.attribute.capitalize()}: true against predicted, n = {metrics.count}")
    figure.colorbar(image, ax=axes, label="Share of the true class (%)", shrink=0.85)
    return figure


def group_figure(part: AttributeReport) -> Figure:
    """The leading measure by group of race, gender and age: a dot and its interval, a dashed line for all."""
    from matplotlib.figure import Figure

    overall = part.overall
    key = MEASURES_OF[overall.attribute][0]
    measure = MEASURES[key]
    panels = {grouping: groups for grouping, groups in part.groups.items() if groups}
    sizes = [len(groups) + 1 for groups in panels.values()]
    figure = Figure(figsize=(8.5, 1.4 + 0.36 * sum(sizes)), layout="constrained")
    rows = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (grouping, groups) in zip(rows, panels.items(), strict=True):
        _dots(axes, {name: measures[key] for name, measures in groups.items()}, measure, OKABE_ITO[grouping])
        axes.axvline(overall.measures[key].value * measure.scale, color="0.35", linestyle="--", linewidth=1)
        axes.set_title(f"by true {grouping} (as perceived)", loc="left", fontsize=11)
    rows[-1].set_xlabel(f"{measure.heading}, 95 % interval; dashed: all images")
    if measure.scale == 100:
        rows[-1].set_xlim(min(rows[-1].get_xlim()[0], 95), 100.5)
    figure.suptitle(
        f"{overall.attribute.capitalize()}: {measure.title.lower()} by group, n = {overall.count}"
    )
    return figure


def decade_figure(metrics: AttributeMetrics) -> Figure:
    """Mean absolute error by decade of true age, with interval bars and counts."""
    from matplotlib.figure import Figure

    measure = MEASURES["mae"]
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axes = figure.add_subplot()
    found = [(name, metrics.mae_by_decade[name]) for name in DECADES if name in metrics.mae_by_decade]
    values, ends = _bars([estimate for _, estimate in found], measure)
    axes.errorbar(range(len(found)), values, yerr=ends, fmt="o", color=OKABE_ITO["race"], capsize=4)
    axes.set_xticks(range(len(found)), [f"{name}\nn =\n{estimate.count}" for name, estimate in found])
    axes.margins(x=0.06)
    top = 1.08 * float(np.max(values + ends[1])) or 1
    axes.set_ylim(-0.02 * top, top)
    axes.grid(axis="y", alpha=0.3)
    axes.set(xlabel="True age (years, as perceived)", ylabel=f"{measure.heading}, 95 % interval")
    axes.set_title(f"Age: mean absolute error by decade, n = {metrics.count}")
    return figure


def age_figure(labels: NDArray[np.integer], predictions: NDArray[np.number]) -> Figure:
    """True against predicted age as a 2D histogram of one-year cells, with the line where both agree."""
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure

    use = known("age", labels)
    true, predicted = labels[use], np.clip(predictions[use].astype(np.float64), 0, MAX_AGE)
    edges = np.arange(MAX_AGE + 2) - 0.5
    counts, _, _ = np.histogram2d(true, predicted, bins=[edges, edges])
    figure = Figure(figsize=(7.2, 6.2), layout="constrained")
    axes = figure.add_subplot()
    top = max(2, counts.max())
    norm = Normalize(0, top) if top < 10 else LogNorm(1, top)
    mesh = axes.pcolormesh(edges, edges, np.ma.masked_equal(counts.T, 0), cmap="viridis_r", norm=norm)
    axes.plot([0, MAX_AGE], [0, MAX_AGE], color="#D55E00", linewidth=1.5, label="predicted = true")
    if true.size <= FEW_IMAGES:
        axes.plot(true, predicted, "o", markersize=5, fillstyle="none", color="0.2", label="an image")
    axes.set(xlabel="True age (years, as perceived)", ylabel="Predicted age (years)", aspect="equal")
    axes.set_title(f"Age: true against predicted, n = {true.size}")
    axes.legend(loc="upper left", frameon=False)
    ticks = np.arange(top + 1) if top < 10 else 10.0 ** np.arange(np.floor(np.log10(top)) + 1)
    bar = figure.colorbar(
        mesh, ax=axes, ticks=ticks, format="%d", label="Images per cell (one year by one year)"
    )
    bar.minorticks_off()
    return figure


def _dots(axes: Axes, estimates: dict[str, Estimate], measure: MeasureText, colour: str) -> None:
    places = range(len(estimates))
    values, ends = _bars(list(estimates.values()), measure)
    axes.errorbar(values, places, xerr=ends, fmt="o", color=colour, capsize=3)
    axes.set_yticks(places, [f"{name} (n = {estimate.count})" for name, estimate in estimates.items()])
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def _bars(estimates: Sequence[Estimate], measure: MeasureText) -> tuple[list[float], NDArray[np.float64]]:
    values = [estimate.value * measure.scale for estimate in estimates]
    ends = [[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]]
    return values, np.maximum(np.array(ends) * measure.scale, 0)
