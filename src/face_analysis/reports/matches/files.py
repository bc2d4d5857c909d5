"""The files of a report on a match: its figures, each with the CSV of what it shows, and its rates."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from face_analysis.evaluation.error_rates import equal_error_rate
from face_analysis.evaluation.intervals import Estimate
from face_analysis.evaluation.verification_by_group import DemographicReport
from face_analysis.files import whole_file
from face_analysis.json_files import write_json
from face_analysis.reports.matches.report import ALL, MatchReport
from face_analysis.reports.matches.score_figures import group_score_figure, score_figure, score_rows
from face_analysis.reports.page import Picture, base64_text
from face_analysis.reports.rate_figures import det_figure, det_rows, heat_figure
from face_analysis.reports.result import TableRows
from face_analysis.reports.style import figure_style
from face_analysis.reports.tables import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_GROUPS, MOST_LINES = 24, 8
"""Drawn in the figures of groups, and in the figure of curves; the CSV files have all."""

FMR_COLUMNS = ("fmr", "fmr_low", "fmr_high", "fmr_pairs")
FNMR_COLUMNS = ("fnmr", "fnmr_low", "fnmr_high", "fnmr_pairs")
RATE_COLUMNS = ("fmr_asked", "threshold", "supported", *FMR_COLUMNS, *FNMR_COLUMNS)
GROUP_COLUMNS = (
    *("first", "second", "people"),
    *(*FMR_COLUMNS, "fmr_supported"),
    *(*FNMR_COLUMNS, "fnmr_supported"),
)
NOT_ALWAYS = (
    *("det.csv", "det.png"),
    *("group_rates.csv", "demographics.json", "group_scores.png", "group_fmr.png"),
)
"""Those of mated pairs, and of groups."""


def write_match_report(report: MatchReport, folder: Path) -> dict[str, Picture]:
    """Write figures and tables (docs/concepts/error_rates.md names them); the figures by name.

    Those that an earlier report left, and this has not, are removed. Raises WriteError.
    """
    for stale in NOT_ALWAYS:
        (folder / stale).unlink(missing_ok=True)
    for name, table in match_tables(report).items():
        write_table(folder / f"{name}.csv", *table)
    if report.demographics is not None:
        write_json(folder / "demographics.json", report.demographics.to_dict())
    pictures = {}
    with figure_style():
        for name, title, about, figure in match_figures(report):
            path = folder / f"{name}.png"
            with whole_file(path) as partial:
                figure.savefig(partial, format="png")
            pictures[name] = Picture(title, about, base64_text(path.read_bytes()))
    return pictures


def match_tables(report: MatchReport) -> dict[str, TableRows]:
    """The tables by name: `scores`, `rates`, with mated pairs `det`, and with groups `group_rates`."""
    scores = TableRows(("group", "from", "mated", "non_mated"), score_rows(report.histograms))
    tables = {"scores": scores, "rates": TableRows(RATE_COLUMNS, _rate_rows(report))}
    if not report.curves[ALL].lacking:
        tables["det"] = TableRows(("group", "threshold", "fmr", "fnmr"), det_rows(report.curves))
    if report.demographics is not None:
        tables["group_rates"] = TableRows(GROUP_COLUMNS, _group_rows(report.demographics))
    return tables


def match_figures(report: MatchReport) -> Iterator[tuple[str, str, str, Figure]]:
    """Name, title, words and figure."""
    threshold, everyone = report.chosen.threshold, report.histograms[ALL]
    for name, log in (("scores", False), ("scores_log", True)):
        title = "Scores, logarithmic" if log else "Scores"
        about = "How many pairs of one person and of two have which score; the dotted line is the threshold."
        yield name, title, about, score_figure(everyone, threshold, log=log)
    curves = {
        f"{name}, EER {100 * rate:.2f} %": curve
        for name, curve in islice(report.curves.items(), MOST_LINES)
        if (rate := equal_error_rate(curve)) is not None
    }
    if curves:
        about = "False non-matches against false matches as the threshold moves; groups with enough pairs."
        yield "det", "Detection error trade-off", about, det_figure(curves)
    if report.demographics is None:
        return
    within = {name: counts for name, counts in report.histograms.items() if name != ALL}
    if within:
        about = "Pairs within each group; the threshold is the same for all."
        figure = group_score_figure(dict(islice(within.items(), MOST_GROUPS)), threshold)
        yield "group_scores", "Scores within groups", about, figure
    about = "Grey: no error, or too few pairs or people to tell the rate; empty: no pairs."
    figure = heat_figure(report.demographics, MOST_GROUPS, ordered=report.ordered)
    yield "group_fmr", "False match rate by pair of groups", about, figure


def _rate_rows(report: MatchReport) -> Iterator[tuple[object, ...]]:
    for card in report.cards:
        fmr, fnmr = _interval(card.fmr_interval), _interval(card.fnmr_interval)
        threshold = None if card.threshold is None else f"{card.threshold:.4f}"
        yield card.asked, threshold, card.supported, card.fmr, *fmr, card.fnmr, *fnmr


def _group_rows(report: DemographicReport) -> Iterator[tuple[object, ...]]:
    for pair in report.pairs:
        fmr, fnmr = (
            (rate and rate.value, *_interval(rate), flag)
            for rate, flag in ((pair.rates.fmr, pair.fmr_supported), (pair.rates.fnmr, pair.fnmr_supported))
        )
        yield pair.first, pair.second, pair.people, *fmr, *fnmr


def _interval(rate: Estimate | None) -> tuple[object, ...]:
    return (None, None, None) if rate is None else (f"{rate.low:.6g}", f"{rate.high:.6g}", rate.count)
