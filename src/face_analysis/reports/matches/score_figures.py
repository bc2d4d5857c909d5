"""How scores are distributed, as figures: all pairs together, and within each group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from face_analysis.evaluation.score_histogram import ScoreHistogram
from face_analysis.reports.style import COLOURS, figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS = 200
"""Bars over -1 to 1, of many bins each."""
STEP_EDGES = np.linspace(-1.0, 1.0, STEPS + 1)
MATED, NON_MATED = COLOURS[0], COLOURS[1]


def score_rows(histograms: Mapping[str, ScoreHistogram]) -> list[tuple[str, str, int, int]]:
    """What the figures show, for a CSV: group, lower end of a bar, mated and non-mated pairs in it."""
    return [
        (group, f"{start:.2f}", mated, non_mated)
        for group, histogram in histograms.items()
        for start, mated, non_mated in zip(
            STEP_EDGES[:-1].tolist(),
            _steps(histogram.mated).tolist(),
            _steps(histogram.non_mated).tolist(),
            strict=True,
        )
        if mated or non_mated
    ]


def score_figure(histogram: ScoreHistogram, threshold: float | None, *, log: bool = False) -> Figure:
    """The percentage of mated and of non-mated pairs by score, with the threshold if there is one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    _distributions(axes, histogram)
    _mark(axes, threshold)
    axes.set_xlim(*_range([histogram], threshold))
    axes.set(xlabel="Score (cosine)", ylabel="Pairs of a kind (%)")
    if log:
        axes.set_yscale("log")
        axes.set_ylabel("Pairs of a kind (%, logarithmic)")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def group_score_figure(histograms: Mapping[str, ScoreHistogram], threshold: float | None) -> Figure:
    """A panel a group, of its pairs with itself; the one threshold goes through all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 0.9 + 1.2 * len(histograms)), layout="constrained")
    panels = figure.subplots(len(histograms), sharex=True, squeeze=False)[:, 0]
    for axes, (group, histogram) in zip(panels, histograms.items(), strict=True):
        _distributions(axes, histogram)
        _mark(axes, threshold)
        if not histogram.any():
            axes.text(0.5, 0.5, "no pairs", transform=axes.transAxes, ha="center", color="0.35")
        counts = f"{histogram.mated.sum():,} mated, {histogram.non_mated.sum():,} non-mated"
        axes.set_title(f"{figure_text(group)}: {counts}", loc="left", fontsize=10)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    shown = {
        label.split(" (")[0]: line
        for axes in panels
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    lines, names = list(shown.values()), list(shown)
    figure.legend(lines, names, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    panels[-1].set_xlim(*_range(list(histograms.values()), threshold))
    panels[-1].set_xlabel("Score (cosine); heights are shares of the group's pairs of a kind")
    return figure


def _distributions(axes: Axes, histogram: ScoreHistogram) -> None:
    kinds = (  # the dashed line last, or it would vanish where both are the same
        ("mated", histogram.mated, MATED, "-"),
        ("non-mated", histogram.non_mated, NON_MATED, "--"),
    )
    for name, counts, colour, line in kinds:
        total = int(counts.sum())
        if total:
            percent = 100 * _steps(counts) / total
            label = f"{name} (n = {total:,})"
            axes.stairs(percent, STEP_EDGES, color=colour, linestyle=line, linewidth=1.5, label=label)
            axes.stairs(percent, STEP_EDGES, color=colour, fill=True, alpha=0.15)


def _mark(axes: Axes, threshold: float | None) -> None:
    if threshold is not None:
        axes.axvline(threshold, color="0.2", linewidth=1, linestyle=":", label=f"threshold {threshold:.4f}")


def _range(histograms: list[ScoreHistogram], threshold: float | None) -> tuple[float, float]:
    """Where there are scores and the threshold, with a step's width on either side."""
    total = sum(histogram.mated + histogram.non_mated for histogram in histograms)
    filled = np.flatnonzero(_steps(np.asarray(total)))
    ends = [STEP_EDGES[filled[0]], STEP_EDGES[filled[-1] + 1], *([] if threshold is None else [threshold])]
    return float(min(ends)) - 0.01, float(max(ends)) + 0.01


def _steps(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    steps: NDArray[np.int64] = counts.reshape(STEPS, -1).sum(axis=1)
    return steps
