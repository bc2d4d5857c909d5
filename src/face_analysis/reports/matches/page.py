"""The page of a match: one HTML file with its figures and tables in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from face_analysis.evaluation.intervals import LEVEL
from face_analysis.evaluation.score_histogram import BIN_WIDTH
from face_analysis.reports.attributes.report import AttributeSection
from face_analysis.reports.matches.hard_pairs import HardPairs
from face_analysis.reports.matches.report import ALL, MatchReport
from face_analysis.reports.matches.tables import (
    across_table,
    differential_text,
    group_table,
    rate_table,
    scientific,
    separation_text,
)
from face_analysis.reports.page import Picture, Table, render
from face_analysis.reports.style import FEW, PERCEIVED

PREDICTED = (
    "The groups are predictions of a model, with its errors: not labels, and not facts about a person."
)


@dataclass(frozen=True)
class MatchPageContext:
    """What the page shows in addition to the measures.

    `note` stands at its head. `predicted` says that the groups are predictions, `faces` that the pairs have
    pictures. `facts` say what was matched, `settings` are the options, as YAML, by the name of the command.
    """

    title: str
    note: str
    predicted: bool
    faces: bool
    hardest: Sequence[HardPairs]
    attributes: AttributeSection | None
    facts: Table
    settings: dict[str, str]


@dataclass(frozen=True)
class GroupSection:
    """What the page says of groups."""

    meaning: str
    table: Table
    about: str
    differentials: Sequence[str]
    across: Table


def match_page(report: MatchReport, pictures: Mapping[str, Picture], context: MatchPageContext) -> str:
    """The page as HTML, with nothing to fetch from elsewhere; `pictures` are those of write_match_report."""
    return render(
        "match.html.j2",
        context=context,
        summary=_summary(report),
        level=f"{LEVEL:.0%}",
        rates=rate_table(report),
        bounds=_bounds(report),
        pictures=pictures,
        threshold="" if report.chosen.threshold is None else f"{report.chosen.threshold:.4f}",
        asked=scientific(report.chosen.asked),
        groups=_groups(report, context.predicted),
        perceived=PERCEIVED,
    )


def _summary(report: MatchReport) -> str:
    curve = report.curves[ALL]
    few = f" {FEW}" if curve.few else ""
    return (
        f"{report.people:,} people, {curve.mated:,} pairs of one person (mated) and {curve.non_mated:,} of "
        f"two (non-mated). {separation_text(report.histograms[ALL])}.{few}"
    )


def _bounds(report: MatchReport) -> str:
    d_prime = "."
    if report.d_prime is not None:
        _, low, high = report.d_prime
        d_prime = f"; d' lies between {low:.3f} and {high:.3f}."
    return (
        f"Scores are counted in bins of {BIN_WIDTH:g}: rates are exact at the thresholds told, which may be "
        f"as much too high{d_prime} Where brackets are missing, scores so low were not counted by person."
    )


def _groups(report: MatchReport, predicted: bool) -> GroupSection | None:
    found = report.demographics
    if found is None:
        return None
    return GroupSection(
        PREDICTED if predicted else PERCEIVED,
        group_table(found),
        f"Pairs within each group. Ratios are to the geometric mean of the groups. {FEW} "
        "It is left out of the comparison.",
        [
            differential_text("False match rates", found.fmr_differential),
            differential_text("False non-match rates", found.fnmr_differential),
        ],
        across_table(found),
    )
