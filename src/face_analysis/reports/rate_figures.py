"""Error rates of verification as figures: the trade of one against the other, and rates by pair of groups."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from face_analysis.evaluation.error_rates import MIN_EXPECTED_ERRORS, Curve
from face_analysis.evaluation.verification_by_group import DemographicReport
from face_analysis.reports.style import COLOURS, figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ZERO_AT = 0.5
"""Pairs in error at which a rate of 0 is drawn on a logarithmic axis."""
WIDEST = 0.08
"""A logarithmic axis reaches down to this rate or lower."""
LINES = ("-", "--", "-.", ":")


def det_figure(
    curves: Mapping[str, Curve],
    names: tuple[str, str] = ("False match rate (FMR)", "False non-match rate (FNMR)"),
    unit: str = "pair",
) -> Figure:
    """FNMR over FMR, or rates of other `names`, both as logarithms, a line for each curve by its label.

    Every curve must have pairs of both kinds. The dashed line is where the rates are equal. A rate of 0 has
    no logarithm and is drawn at half a pair; where MIN_EXPECTED_ERRORS pairs (or another `unit`) do not stand
    for a rate, the figure is grey.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.0), layout="constrained")
    axes = figure.subplots()
    for (label, curve), colour, line in zip(curves.items(), cycle(COLOURS), cycle(LINES), strict=False):
        fmr = drawn_rates(curve.fmr, curve.non_mated)
        fnmr = drawn_rates(curve.fnmr, curve.mated)
        axes.step(fmr, fnmr, where="pre", color=colour, linestyle=line, label=figure_text(label))
    left = log_axis(axes, "x", max(curve.non_mated for curve in curves.values()))
    low = log_axis(axes, "y", max(curve.mated for curve in curves.values()))
    axes.plot([max(left, low), 1], [max(left, low), 1], color="0.35", linestyle="--", linewidth=1)
    axes.set_xlabel(f"{names[0]}\n{zero_note(unit)}")
    axes.set_ylabel(names[1])
    axes.legend(frameon=False, fontsize=9)
    return figure


def drawn_rates(rates: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Rates of `count` pairs for a logarithmic axis: 0 becomes half of one pair."""
    return np.maximum(rates, ZERO_AT / count)


def log_axis(axes: Axes, which: Literal["x", "y"], count: int) -> float:
    """Make an axis of rates logarithmic, from a rate of 0 to 1; grey where `count` pairs do not carry a rate.

    Gives the rate that the axis begins at.
    """
    low = ZERO_AT / count
    band = axes.axvspan if which == "x" else axes.axhspan
    band(min(low, WIDEST) / 2, min(MIN_EXPECTED_ERRORS / count, 1), color="0.94", linewidth=0, zorder=0)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (min(low / 1.3, WIDEST), 1.1)})
    return low


def zero_note(unit: str) -> str:
    """What a figure with logarithmic rates says of rates of 0, and of grey."""
    return f"0 is drawn at half a {unit}; grey: fewer than {MIN_EXPECTED_ERRORS} {unit}s in error"


def det_rows(curves: Mapping[str, Curve]) -> list[tuple[str, str, str, str]]:
    """What the figure shows, for a CSV: name, threshold, FMR and FNMR wherever one of them changes."""
    rows = []
    for name, curve in curves.items():
        kept = np.append(True, (np.diff(curve.fmr) != 0) | (np.diff(curve.fnmr) != 0))
        points = zip(curve.thresholds[kept], curve.fmr[kept], curve.fnmr[kept], strict=True)
        rows += [(name, f"{threshold:.4f}", f"{fmr:.4g}", f"{fnmr:.4g}") for threshold, fmr, fnmr in points]
    return rows


def heat_figure(report: DemographicReport, most: int, *, ordered: bool) -> Figure:
    """FMR by pair of `most` groups, as a logarithm; a number in each cell, grey where it is not supported.

    With `ordered` the rows are groups of the probes and the columns of the gallery; otherwise the table is
    symmetric.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for pair in report.pairs for name in (pair.first, pair.second)))[:most]
    rates, known = _table(report, names, ordered=ordered)
    shown = np.ma.masked_where(~known | ~(rates > 0), rates)
    low, high = (float(shown.min()), float(shown.max())) if shown.count() else (1e-6, 1e-5)
    norm = LogNorm(low / 1.5, high * 1.5)
    side = 1.8 + 0.8 * len(names)
    figure = Figure(figsize=(side + 1.6, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shown, cmap="cividis", norm=norm)
    axes.set_facecolor("0.88")
    for (row, column), rate in np.ndenumerate(rates):
        if np.isfinite(rate):
            dark = known[row, column] and rate > 0 and norm(rate) < 0.55
            text = f"{rate:.1e}".replace("e-0", "e-") if rate else "0"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "black"
            )
    shown_names = [figure_text(name) for name in names]
    axes.set_xticks(range(len(names)), shown_names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), shown_names)
    if ordered:
        axes.set(xlabel="Group of the gallery", ylabel="Group of the probes")
    axes.set_title(f"FMR at the threshold {report.threshold:.4f}", fontsize=11)
    if shown.count():
        figure.colorbar(image, ax=axes, label="FMR (logarithmic)", shrink=0.85)
    return figure


def _table(
    report: DemographicReport, names: list[str], *, ordered: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """FMR (G, G) by the groups of `names`, NaN without pairs, and whether it is supported."""
    rates = np.full((len(names), len(names)), np.nan)
    known = np.zeros(rates.shape, bool)
    for pair in report.pairs:
        if pair.rates.fmr is None or not {pair.first, pair.second} <= set(names):
            continue
        places = [(names.index(pair.first), names.index(pair.second))]
        if not ordered:
            places.append(places[0][::-1])
        for place in places:
            rates[place], known[place] = pair.rates.fmr.value, pair.fmr_supported
    return rates, known
