"""The files of a verification: tables, and the trade of false matches against false non-matches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from face_analysis.evaluation.error_rates import Curve, OperatingPoint, at_threshold
from face_analysis.evaluation.verification import VerificationReport
from face_analysis.files import whole_file, write_csv, write_text
from face_analysis.reports.figure_style import COLOURS, figure_style
from face_analysis.reports.markdown import section
from face_analysis.reports.measure_text import MeasureText
from face_analysis.reports.rate_figures import det_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNSUPPORTED = "too few pairs"
FIXED = MeasureText("Rate", "%", 100, 3)
FIXED_HEADS = ("set", "FMR (%) [over pairs]", "FNMR (%) [over pairs]")
LONGEST_CURVE = 30_000
"""Thresholds of a set that are written and drawn; IJB-C has millions."""


def write_verification(
    reports: Sequence[VerificationReport], folder: Path, threshold: float | None = None
) -> None:
    """Write verification.json, verification.md, curves.csv, roc.png and det.png. Raises WriteError.

    With a `threshold` that was fixed elsewhere the rates there are told too.
    """
    found = {report.name: report.to_dict() for report in reports}
    if threshold is not None:
        for report in reports:
            found[report.name]["at_threshold"] = at_threshold(report.curve, threshold).to_dict()
    write_text(folder / "verification.json", json.dumps(found, indent=1))
    write_text(folder / "verification.md", f"# Verification\n{verification_tables(reports, threshold)}\n")
    _write_curves(reports, folder / "curves.csv")
    with figure_style():
        for name, figure in (("roc.png", roc_figure(reports)), ("det.png", det_figure(_labelled(reports)))):
            with whole_file(folder / name) as partial:
                figure.savefig(partial, format="png")


def verification_tables(reports: Sequence[VerificationReport], threshold: float | None = None) -> str:
    """Accuracy, EER and d', TAR at each FAR, and the rates at a threshold, a line a set, as Markdown."""
    heads = ("set", "accuracy (%)", "EER (%)", "d'", "pairs", "photos without a face found")
    rows = [
        (
            report.name,
            _accuracy(report),
            f"{100 * report.equal_error_rate:.2f}",
            f"{report.d_prime:.2f}",
            f"{report.curve.mated} + {report.curve.non_mated}{_left_out(report)}",
            f"{report.faces_missed} of {report.images}",
        )
        for report in reports
    ]
    rates = [f"{point.asked:.0e}" for point in reports[0].points]
    lines = [(report.name, *map(_tar, report.points)) for report in reports]
    tables = [*section("Accuracy in folds", heads, rows), *section("TAR (%) at FAR", ("set", *rates), lines)]
    if threshold is not None:
        told = [_at(report, threshold) for report in reports]
        tables += section(f"At the threshold {threshold:.4f}", FIXED_HEADS, told)
    return "\n".join(tables)


def roc_figure(reports: Sequence[VerificationReport]) -> Figure:
    """TAR over FAR, a line a set; the FAR begins where ten non-mated pairs stand for it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for report, colour in zip(reports, cycle(COLOURS), strict=False):
        curve = thinned(report.curve)
        label = f"{report.name}, {_accuracy(report)}"
        axes.step(curve.fmr, 100 * (1 - curve.fnmr), where="pre", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_xlim(min(10 / report.curve.non_mated for report in reports), 1)
    axes.set_xlabel("False accept rate (FAR)")
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
        f"{report.name}, EER {100 * report.equal_error_rate:.2f} %": thinned(report.curve)
        for report in reports
    }


def _at(report: VerificationReport, threshold: float) -> tuple[str, ...]:
    rates = at_threshold(report.curve, threshold)
    return report.name, FIXED.write(rates.fmr), FIXED.write(rates.fnmr)


def _accuracy(report: VerificationReport) -> str:
    if report.accuracy is None:
        return "no folds"
    return f"{100 * report.accuracy.mean:.2f} +- {100 * report.accuracy.std:.2f}"


def _left_out(report: VerificationReport) -> str:
    return f" ({report.pairs_left_out} left out)" if report.pairs_left_out else ""


def _tar(point: OperatingPoint) -> str:
    return f"{100 * (1 - point.fnmr):.2f}" if point.supported else UNSUPPORTED


def _write_curves(reports: Sequence[VerificationReport], path: Path) -> None:
    rows = (
        (report.name, *(f"{value:.8g}" for value in row))
        for report in reports
        for curve in [thinned(report.curve)]
        for row in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True)
    )
    write_csv(path, ("set", "threshold", "fmr", "fnmr"), rows)
