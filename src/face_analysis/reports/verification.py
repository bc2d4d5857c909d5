"""The files of a verification: tables, and the trade of false matches against false non-matches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from face_analysis.evaluation.error_rates import NO_MATED, NO_NON_MATED, Curve, OperatingPoint, at_threshold
from face_analysis.evaluation.verification import VerificationReport
from face_analysis.files import write_text
from face_analysis.json_files import write_json
from face_analysis.reports.markdown_page import PAGE, markdown_page
from face_analysis.reports.page import Table
from face_analysis.reports.rate_figures import det_figure, drawn_rates, log_axis, zero_note
from face_analysis.reports.result import TableRows
from face_analysis.reports.style import (
    COLOURS,
    FEW,
    STAR,
    UNSUPPORTED,
    MeasureText,
    figure_style,
    figure_text,
    section,
    write_figures,
)
from face_analysis.reports.tables import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = ("roc", "det")
FIXED = MeasureText("Rate", "%", 100, 3)
FIXED_HEADS = ("set", "FMR (%) [over pairs]", "FNMR (%) [over pairs]")
LONGEST_CURVE = 30_000
"""Thresholds of a set that are written and drawn; IJB-C has millions."""


def write_verification(
    reports: Sequence[VerificationReport], folder: Path, threshold: float | None = None
) -> None:
    """Write verification.json and .md, report.html, curves.csv, roc.png and det.png. Raises WriteError.

    With a `threshold` that was fixed elsewhere the rates there are reported too. Sets with pairs of one kind
    have no curve; without any other there are no figures, and those of an earlier run are removed.
    """
    found = {report.name: report.to_dict() for report in reports}
    if threshold is not None:
        for report in reports:
            found[report.name]["at_threshold"] = at_threshold(report.curve, threshold).to_dict()
    write_json(folder / "verification.json", found)
    write_table(folder / "curves.csv", *curve_rows(reports))
    for name in FIGURES:
        (folder / f"{name}.png").unlink(missing_ok=True)
    with figure_style():
        figures = verification_figures(reports)
        write_figures(figures, folder)
    text = f"# Verification\n{verification_tables(reports, threshold)}\n"
    write_text(folder / "verification.md", text)
    images = "".join(f"\n![{name.upper()}]({name}.png)\n" for name in figures)
    write_text(folder / PAGE, markdown_page(text + images, folder))


def verification_figures(reports: Sequence[VerificationReport]) -> dict[str, Figure]:
    """The figures by name, of the sets with pairs of both kinds; none where there is no such set."""
    drawn = [report for report in reports if not report.curve.lacking]
    if not drawn:
        return {}
    return dict(zip(FIGURES, (roc_figure(drawn), det_figure(_labelled(drawn))), strict=True))


def verification_tables(reports: Sequence[VerificationReport], threshold: float | None = None) -> str:
    """Accuracy, EER and d', TAR at each FAR, and the rates at a threshold, a line a set, as Markdown."""
    accuracy = accuracy_table(reports)
    rates = [f"{point.asked:.0e}" for point in reports[0].points]
    lines = [(report.name, *(_tar(point, report.curve) for point in report.points)) for report in reports]
    tables = [
        *section("Accuracy in folds", accuracy.heads, accuracy.rows),
        *section("TAR (%) at FAR", ("set", *rates), lines),
    ]
    if threshold is not None:
        fixed = [_at(report, threshold) for report in reports]
        tables += section(f"At the threshold {threshold:.4f}", FIXED_HEADS, fixed)
    if any(report.curve.few for report in reports):
        tables += ["", FEW]
    return "\n".join(tables)


def accuracy_table(reports: Sequence[VerificationReport]) -> Table:
    """Accuracy in folds, EER and d', a row a set."""
    heads = ("set", "accuracy (%)", "EER (%)", "d'", "pairs", "photos without a face found")
    rows = [
        (
            report.name,
            _accuracy(report),
            *_separation(report),
            f"{report.curve.mated} + {report.curve.non_mated}{_left_out(report)}",
            f"{report.faces_missed} of {report.images}",
        )
        for report in reports
    ]
    return Table(heads, rows)


def roc_figure(reports: Sequence[VerificationReport]) -> Figure:
    """TAR over FAR, a line a set with pairs of both kinds; a FAR of 0 is drawn at half of one pair."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.0), layout="constrained")
    axes = figure.subplots()
    for report, colour in zip(reports, cycle(COLOURS), strict=False):
        curve = thinned(report.curve)
        label = f"{figure_text(report.name)}, {_accuracy(report)}"
        far = drawn_rates(curve.fmr, curve.non_mated)
        axes.step(far, 100 * (1 - curve.fnmr), where="pre", color=colour, label=label)
    log_axis(axes, "x", max(report.curve.non_mated for report in reports))
    axes.set_ylim(-3, 103)
    axes.set_xlabel(f"False accept rate (FAR)\n{zero_note('pair')}")
    axes.set_ylabel("True accept rate (TAR, %)")
    axes.legend(title="set, accuracy in folds (%)", loc="lower right", frameon=False)
    return figure


def thinned(curve: Curve) -> Curve:
    """The curve, or of a longer one some LONGEST_CURVE thresholds, dense where a rate is small.

    The rates of those are exact.
    """
    if len(curve.thresholds) <= LONGEST_CURVE:
        return curve
    count = LONGEST_CURVE // 3
    small, even = np.geomspace(1 / max(curve.mated, curve.non_mated), 1, count), np.linspace(0, 1, count)
    places = (
        np.searchsorted(curve.fnmr, small),
        np.searchsorted(-curve.fmr, -small),
        np.searchsorted(curve.fnmr, even),
    )
    kept = np.unique(np.concatenate([*places, [len(curve.thresholds) - 1]]))
    columns = (curve.thresholds[kept], curve.fmr[kept], curve.fnmr[kept])
    return Curve(*columns, curve.mated, curve.non_mated)


def _labelled(reports: Sequence[VerificationReport]) -> dict[str, Curve]:
    return {
        f"{report.name}, EER {100 * (report.equal_error_rate or 0):.2f} %": thinned(report.curve)
        for report in reports
    }


def _at(report: VerificationReport, threshold: float) -> tuple[str, ...]:
    rates = at_threshold(report.curve, threshold)
    return report.name, FIXED.write(rates.fmr), FIXED.write(rates.fnmr)


def _accuracy(report: VerificationReport) -> str:
    if report.accuracy is None:
        return f"- ({report.no_accuracy})"
    star = STAR if report.curve.few else ""
    return f"{100 * report.accuracy.mean:.2f} +- {100 * report.accuracy.std:.2f}{star}"


def _left_out(report: VerificationReport) -> str:
    return f" ({report.pairs_left_out} left out)" if report.pairs_left_out else ""


def _separation(report: VerificationReport) -> tuple[str, str]:
    """EER and d', or why there is none."""
    star, error, found = STAR if report.curve.few else "", report.equal_error_rate, report.d_prime
    return (
        f"- ({report.curve.lacking})" if error is None else f"{100 * error:.2f}{star}",
        f"- ({report.no_d_prime})" if found is None else f"{found:.2f}{star}",
    )


def _tar(point: OperatingPoint, curve: Curve) -> str:
    if not point.supported:
        return UNSUPPORTED if curve.non_mated else f"- ({NO_NON_MATED})"
    if point.fnmr is None:
        return f"- ({NO_MATED})"
    return f"{100 * (1 - point.fnmr):.2f}{STAR if curve.few else ''}"


def curve_rows(reports: Sequence[VerificationReport]) -> TableRows:
    """The rates of each set over its thresholds; empty where there are no pairs of a kind."""
    rows = (
        (report.name, *("" if math.isnan(value) else f"{value:.8g}" for value in row))
        for report in reports
        for curve in [thinned(report.curve)]
        for row in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True)
    )
    return TableRows(("set", "threshold", "fmr", "fnmr"), rows)
