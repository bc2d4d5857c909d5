"""The files of a search whose people are known: tables, and figures of how often they are found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from face_analysis.evaluation.error_rates import Curve
from face_analysis.evaluation.identification import IdentificationReport, OpenSetPoint
from face_analysis.evaluation.intervals import Estimate
from face_analysis.files import write_text
from face_analysis.reports.rate_figures import det_figure, det_rows
from face_analysis.reports.result import TableRows
from face_analysis.reports.style import COLOURS, figure_style, section, write_figures
from face_analysis.reports.tables import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNSUPPORTED = "too few probes"
CLOSED_HEADS = ("rank", "identification rate (%) [over people]")
OPEN_HEADS = ("FPIR asked", "threshold", "FPIR (%) [over people]", "FNIR (%) [over people]")
NAMES = ("False positive identification rate (FPIR)", "False negative identification rate (FNIR)")
SHOWN_RANKS = (1, 5, 10, 20, 50, 100)
COLUMNS = ("measure", "rank", "fpir_asked", "threshold", "supported", "value", "low", "high", "probes")
FILES = (
    *("identification.csv", "identification.md", "cmc.png"),
    *("identification_det.csv", "identification_det.png"),
)


def write_identification(report: IdentificationReport | None, folder: Path) -> None:
    """Write identification.csv and .md, cmc.png, and identification_det.csv and .png.

    Figures need mated probes, the second non-mated ones too. Without a report nothing is written; what an
    earlier search left is removed first. Raises WriteError.
    """
    for stale in FILES:
        (folder / stale).unlink(missing_ok=True)
    if report is None:
        return
    for name, table in identification_rows(report).items():
        write_table(folder / f"{name}.csv", *table)
    write_text(folder / "identification.md", f"# Identification\n{identification_tables(report)}\n")
    with figure_style():
        write_figures(identification_figures(report), folder)


def identification_rows(report: IdentificationReport) -> dict[str, TableRows]:
    """The tables by name: `identification`, and with probes of both kinds `identification_det`."""
    tables = {"identification": TableRows(COLUMNS, _rows(report))}
    if curves := _curves(report):
        header = ("probes", "threshold", "fpir", "fnir")
        tables["identification_det"] = TableRows(header, det_rows(curves))
    return tables


def identification_figures(report: IdentificationReport) -> dict[str, Figure]:
    """The figures by name: `cmc` with mated probes, `identification_det` with probes of both kinds."""
    figures = {}
    if report.identification_rates:
        figures["cmc"] = cmc_figure(report.identification_rates)
    if curves := _curves(report):
        figures["identification_det"] = det_figure(curves, NAMES, "probe")
    return figures


def _curves(report: IdentificationReport) -> dict[str, Curve]:
    if report.curve is None or not report.curve.mated:
        return {}
    return {f"{report.mated:,} mated and {report.non_mated:,} non-mated probes": report.curve}


def identification_tables(report: IdentificationReport) -> str:
    """The identification rate by rank, then FPIR and FNIR by threshold, as Markdown; 95 % intervals."""
    ranks = len(report.identification_rates)
    lines = ["", f"{report.mated} mated and {report.non_mated} non-mated probes"]
    if ranks:
        shown = sorted({rank for rank in SHOWN_RANKS if rank < ranks} | {ranks})
        rates = [(str(rank), _percent(report.identification_rates[rank - 1])) for rank in shown]
        lines += section("Closed set: mated probes", CLOSED_HEADS, rates)
    if report.points:
        lines += section("Open set: all probes", OPEN_HEADS, [_point(point) for point in report.points])
    return "\n".join(lines)


def cmc_figure(rates: Sequence[Estimate]) -> Figure:
    """The identification rate by rank, with its intervals."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    ranks = range(1, len(rates) + 1)
    low, high = ([100 * getattr(rate, end) for rate in rates] for end in ("low", "high"))
    axes.fill_between(ranks, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, label="95 % over people")
    axes.plot(ranks, [100 * rate.value for rate in rates], color=COLOURS[0], marker="o", markersize=3)
    if len(rates) == 1:  # a band of one rank has no width
        axes.vlines(ranks, low, high, color=COLOURS[0], alpha=0.4, linewidth=3)
    axes.set(xlabel="Rank", ylabel="Identification rate (%)", xlim=(0.5, len(rates) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title=f"{rates[0].count:,} mated probes", loc="lower right", frameon=False)
    return figure


def _point(point: OpenSetPoint) -> tuple[str, ...]:
    asked = "given" if point.asked is None else f"{point.asked:.0e}"
    if not point.supported:
        return asked, UNSUPPORTED, "", ""
    return asked, f"{point.threshold:.4f}", _percent(point.fpir), _percent(point.fnir)


def _percent(rate: Estimate | None) -> str:
    if rate is None:
        return "no probes"
    return f"{100 * rate.value:.2f} [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"


def _rows(report: IdentificationReport) -> Iterator[tuple[object, ...]]:
    for rank, rate in enumerate(report.identification_rates, 1):
        yield "identification rate", rank, None, None, True, *_numbers(rate)
    for point in report.points:
        for measure, found in (("FPIR", point.fpir), ("FNIR", point.fnir)):
            if found is not None:
                threshold = f"{point.threshold:.6f}"
                yield measure, None, point.asked, threshold, point.supported, *_numbers(found)


def _numbers(rate: Estimate) -> tuple[object, ...]:
    return f"{rate.value:.6g}", f"{rate.low:.6g}", f"{rate.high:.6g}", rate.count
