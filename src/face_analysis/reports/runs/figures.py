"""The curves of training runs: what each is called, its numbers, and a figure of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from face_analysis.reports.rate_figures import LINES
from face_analysis.reports.runs.comparison import RunComparison, RunGroup, is_measure
from face_analysis.reports.style import COLOURS, MeasureText, figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTHED = 5
"""Logged values of which a smoothed one is the mean: its own and its neighbours'."""
TITLES = {
    "learning_rate": "Learning rate",
    "margin": "Margin",
    "feature_norm": "Feature norm",
    "target_cosine": "Target logit",
    "val_score": "Validation score",
}
ABOUT = {
    "learning_rate": "That of the backbone, on a logarithmic axis.",
    "margin": "What the head takes from the target logit; it rises during margin_warmup.",
    "feature_norm": "Mean norm of the embeddings before they are normalised.",
    "target_cosine": "Mean cosine of embeddings and the weights of their classes, before margin and scale.",
    "val_score": "By which the best network is kept: the mean of a run's measures (of age 1 - MAE/100).",
}
LOSS = "Losses of different heads or weights are not on one scale: compare the measures of validation."
WIDEST = 75
"""Characters of a line of the legend; a sample of a line takes the room of SAMPLE."""
SAMPLE = 8
CROSS: dict[str, Any] = {"marker": "X", "markersize": 8, "color": "0.15", "linestyle": "", "zorder": 3}


def curve_text(column: str) -> MeasureText:
    """How a column of the log is called and written."""
    if column.startswith("train_loss"):
        of = column.removeprefix("train_loss").strip("_")
        return MeasureText(f"Training loss, {of}" if of else "Training loss", "", 1, 4)
    if column.endswith("_accuracy"):
        of = column.removeprefix("val_").removesuffix("_accuracy")
        return MeasureText(f"Accuracy, {of}", "%", 100, 2)
    if column.endswith("_mae"):
        of = column.removeprefix("val_").removesuffix("_mae")
        return MeasureText(f"MAE, {of}", "years", 1, 2)
    return MeasureText(TITLES.get(column, column), "", 1, 4)


def curve_about(column: str) -> str:
    """A sentence or two on what the figure shows."""
    sentences = [ABOUT.get(column, ""), LOSS if column.startswith("train_loss") else ""]
    if is_smoothed(column):
        sentences.append(f"Smoothed: each value is the mean of {SMOOTHED} logged ones, at the ends of fewer.")
    return " ".join(filter(None, sentences))


def is_smoothed(column: str) -> bool:
    """Whether it is of single batches, and so drawn smoothed."""
    return column.startswith("train_loss") or column in ("target_cosine", "feature_norm")


def drawn(column: str, curve: Mapping[int, float]) -> dict[int, float]:
    """The values as they are drawn, by step; a noisy column is smoothed over neighbours in the log."""
    if not is_smoothed(column):
        return dict(curve)
    values, reach = list(curve.values()), SMOOTHED // 2
    means = (float(np.mean(values[max(0, at - reach) : at + reach + 1])) for at in range(len(values)))
    return dict(zip(curve, means, strict=True))


def curve_rows(groups: Sequence[RunGroup], column: str) -> list[tuple[object, ...]]:
    """What a figure shows, for a CSV: a row for each logged value of each run."""
    return [
        (
            group.label,
            run.name,
            run.settings["seed"],
            run.epochs[step],
            step,
            run.images(step),
            f"{value:.9g}",
        )
        + ((f"{shown[step]:.9g}",) if is_smoothed(column) else ())
        for group in groups
        for run in group.runs
        for shown in [drawn(column, run.curves.get(column, {}))]
        for step, value in run.curves.get(column, {}).items()
    ]


def curve_figure(comparison: RunComparison, column: str) -> Figure:
    """A column of the logs over the images learnt from.

    A group of several runs is their mean, in a band from the lowest to the highest, as far as all of them
    came; thin lines go on from there. A cross ends what is of an unfinished run.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(5.2, 3.9), layout="constrained")
    axes = figure.subplots()
    for group, colour, line in zip(comparison.groups, cycle(COLOURS), cycle(LINES), strict=False):
        if any(column in run.curves for run in group.runs):
            _draw_group(axes, group, column, colour, line)
    if column == "learning_rate":
        axes.set_yscale("log")
    axes.set(xlabel="Training images seen, repeats included", ylabel=curve_text(column).heading)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25, linewidth=0.6)
    _legend(figure, axes)
    return figure


def _draw_group(axes: Axes, group: RunGroup, column: str, colour: str, line: str) -> None:
    runs = [run for run in group.runs if column in run.curves]
    scale, batch = curve_text(column).scale, runs[0].images(0)
    curves = [
        {batch * (step + 1): scale * value for step, value in drawn(column, run.curves[column]).items()}
        for run in runs
    ]
    dots = is_measure(column) or min(map(len, curves)) == 1  # one value makes no line
    style: dict[str, Any] = {"color": colour, "marker": "o" if dots else "", "markersize": 3}
    common = sorted(set.intersection(*map(set, curves)))
    values = np.array([[curve[seen] for seen in common] for curve in curves])
    if len(runs) > 1:
        axes.fill_between(
            common, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0
        )
    label = fill(figure_text(group.label), WIDEST - SAMPLE)
    axes.plot(common, values.mean(axis=0), **style, linestyle=line, linewidth=1.8, label=label)
    for run, curve in zip(runs, curves, strict=True):
        rest = {seen: value for seen, value in curve.items() if seen >= max(common, default=0)}
        if not common or len(rest) > 1:
            axes.plot(list(rest), list(rest.values()), **style, linestyle=line, linewidth=1)
        if not run.finished:
            axes.plot(*list(curve.items())[-1], **CROSS)


def _legend(figure: Figure, axes: Axes) -> None:
    """The groups, and what a cross means where there is one."""
    handles, labels = axes.get_legend_handles_labels()
    crosses = [line for line in axes.get_lines() if line.get_marker() == CROSS["marker"]]
    handles, labels = [*handles, *crosses[:1]], [*labels, *(["unfinished run"] if crosses else [])]
    columns = max(1, min(3, WIDEST // (SAMPLE + max(map(len, labels), default=0))))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)
