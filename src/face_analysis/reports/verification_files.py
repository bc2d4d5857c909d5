"""The files of a verification: tables, and the trade of false matches against false non-matches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from face_analysis.evaluation.error_rates import OperatingPoint
from face_analysis.evaluation.verification import VerificationReport
from face_analysis.files import whole_file, write_csv, write_text
from face_analysis.reports.figure_style import COLOURS, figure_style
from face_analysis.reports.markdown import section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNSUPPORTED = "too few pairs"


def write_verification(reports: Sequence[VerificationReport], folder: Path) -> None:
    """Write verification.json, verification.md, curves.csv, roc.png and det.png. Raises WriteError."""
    found = {report.name: report.to_dict() for report in reports}
    write_text(folder / "verification.json", json.dumps(found, indent=1))
    write_text(folder / "verification.md", f"# Verification\n{verification_tables(reports)}\n")
    _write_curves(reports, folder / "curves.csv")
    with figure_style():
        for name, figure in (("roc.png", roc_figure(reports)), ("det.png", det_figure(reports))):
            with whole_file(folder / name) as partial:
                figure.savefig(partial, format="png")


def verification_tables(reports: Sequence[VerificationReport]) -> str:
    """Accuracy, EER and d', then TAR at each FAR, a line a set, as Markdown."""
    heads = ("set", "accuracy (%)", "EER (%)", "d'", "pairs", "photos without a face found")
    rows = [
        (
            report.name,
            f"{100 * report.accuracy.mean:.2f} +- {100 * report.accuracy.std:.2f}",
            f"{100 * report.equal_error_rate:.2f}",
            f"{report.d_prime:.2f}",
            f"{report.curve.mated} + {report.curve.non_mated}",
            f"{report.faces_missed} of {report.images}",
        )
        for report in reports
    ]
    rates = [f"{point.asked:.0e}" for point in reports[0].points]
    lines = [(report.name, *map(_tar, report.points)) for report in reports]
    return "\n".join(
        [*section("Accuracy in folds", heads, rows), *section("TAR (%) at FAR", ("set", *rates), lines)]
    )


def roc_figure(reports: Sequence[VerificationReport]) -> Figure:
    """TAR over FAR, a line a set; the FAR begins where ten non-mated pairs stand for it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for report, colour in zip(reports, cycle(COLOURS), strict=False):
        label = f"{report.name}, {100 * report.accuracy.mean:.2f} %"
        axes.step(report.curve.fmr, 100 * (1 - report.curve.fnmr), where="pre", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_xlim(min(10 / report.curve.non_mated for report in reports), 1)
    axes.set_xlabel("False accept rate (FAR)")
    axes.set_ylabel("True accept rate (TAR, %)")
    axes.legend(title="set, accuracy in folds", loc="lower right", frameon=False)
    return figure


def det_figure(reports: Sequence[VerificationReport]) -> Figure:
    """FNMR over FMR, both as logarithms, a line a set; the dashed line is where they are equal."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for report, colour in zip(reports, cycle(COLOURS), strict=False):
        label = f"{report.name}, EER {100 * report.equal_error_rate:.2f} %"
        axes.step(report.curve.fmr, report.curve.fnmr, where="pre", color=colour, label=label)
    low = min(10 / min(report.curve.non_mated, report.curve.mated) for report in reports)
    axes.plot([low, 1], [low, 1], color="0.35", linestyle="--", linewidth=1)
    axes.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1))
    axes.set_xlabel("False match rate (FMR)")
    axes.set_ylabel("False non-match rate (FNMR)")
    axes.legend(frameon=False)
    return figure


def _tar(point: OperatingPoint) -> str:
    return f"{100 * (1 - point.fnmr):.2f}" if point.supported else UNSUPPORTED


def _write_curves(reports: Sequence[VerificationReport], path: Path) -> None:
    rows = (
        (report.name, *(f"{value:.6f}" for value in row))
        for report in reports
        for row in zip(report.curve.thresholds, report.curve.fmr, report.curve.fnmr, strict=True)
    )
    write_csv(path, ("set", "threshold", "fmr", "fnmr"), rows)
