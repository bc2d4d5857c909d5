"""All pairs of embeddings compared, and faces searched in a gallery."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from face_analysis.errors import EmptyDataError
from face_analysis.evaluation.identification import IdentificationReport, identification_report
from face_analysis.matching.candidates import HEADER as CANDIDATE_COLUMNS
from face_analysis.matching.candidates import candidate_rows, outcomes_of, records_of
from face_analysis.matching.comparison import Comparison, compare
from face_analysis.matching.features.feature_set import FeatureSet
from face_analysis.matching.match import COUNTED_FRACTION
from face_analysis.matching.match import match as match_pairs
from face_analysis.matching.match_files import TAIL_HEADER, tail_rows
from face_analysis.matching.result import MatchResult
from face_analysis.matching.search import SearchSides, search_sides
from face_analysis.matching.search import search as search_rows
from face_analysis.reports.identification import (
    identification_figures,
    identification_rows,
    identification_tables,
)
from face_analysis.reports.matches.files import match_figures, match_tables
from face_analysis.reports.matches.rates_text import rates_text
from face_analysis.reports.matches.report import MatchReport, match_report
from face_analysis.reports.matches.tables import group_table, rate_table
from face_analysis.reports.page import Table
from face_analysis.reports.result import Result, TableRows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Features = FeatureSet | str | os.PathLike[str]
"""A feature set, or the folder of one."""


@dataclass(frozen=True, repr=False)
class Match(Result):
    """The result of comparing all pairs.

    `report` holds the measures: error rates, their intervals over people, and differences between groups.
    `counts` holds the histograms of scores and the most extreme pairs.
    """

    comparison: Comparison
    counts: MatchResult
    report: MatchReport

    @property
    def title(self) -> str:
        """What was compared."""
        people, rows = len(self.counts.subjects), len(self.comparison.probes)
        return f"{self.comparison.pairs:,} pairs of {rows:,} rows, {people:,} people"

    @property
    def threshold(self) -> float | None:
        """The lowest score whose false match rate is at most `fmr`; None if it is not known."""
        return self.report.chosen.threshold

    @property
    def summary(self) -> str:
        """The error rates of all pairs and of groups, as `face-analysis match` prints them."""
        not_compared = self.comparison.same_picture_pairs
        return rates_text(self.counts, self.report.chosen, self.report.cards, not_compared)

    def table_rows(self) -> Mapping[str, TableRows]:
        """`rates`, `scores`, `det`, `group_rates` and the most extreme pairs, `tails`."""
        return {
            **match_tables(self.report),
            "tails": TableRows(TAIL_HEADER, tail_rows(self.counts, self.comparison)),
        }

    def shown_tables(self) -> Mapping[str, Table]:
        """Error rates, and those of groups."""
        shown = {"Error rates": rate_table(self.report)}
        if self.report.demographics is not None:
            shown["Groups"] = group_table(self.report.demographics)
        return shown

    def figures(self) -> Mapping[str, Figure]:
        """Distributions of scores, the detection error trade-off, and the rates of groups."""
        return {name: figure for name, _, _, figure in match_figures(self.report)}


def match(
    probes: Features,
    gallery: Features | None = None,
    *,
    groups: Sequence[str] = (),
    subject: str | None = None,
    subject_pattern: str | None = None,
    fmr: float = 1e-4,
    tail: int = 1000,
    memory: float = 1e9,
) -> Match:
    """Compare all pairs of embeddings, and measure the errors: overall, and per group at one threshold.

    Args:
        probes: a feature set, or the folder of one.
        gallery: a second feature set. Without it the probes are compared with each other, each pair once.
        groups: columns of the index, such as ["race", "gender"]. Codes of race and gender become names, and
            ages become decades.
        subject: the column of the index with the person, or "folder": the name of the folder of the picture.
        subject_pattern: a regular expression with one group. The part of the path that the group matches is
            the person.
        fmr: the false match rate that determines the threshold, over 0 and at most 1.
        tail: how many of the most extreme pairs of each kind are kept.
        memory: the limit for blocks and counts, in bytes.

    Raises:
        UsageError: if a subject or a group is not known.
        EmptyDataError: if there is no pair to compare.
        FeatureSetError: if a set is damaged.
        MissingFileError: if a set does not exist.

    Examples:
        >>> import numpy as np
        >>> from face_analysis import FeatureSet, match
        >>> rng = np.random.default_rng(0)
        >>> people = np.repeat(rng.normal(size=(20, 64)), 2, axis=0)
        >>> noisy = people + rng.normal(size=(40, 64))
        >>> faces = FeatureSet.from_arrays(noisy, subjects=np.repeat(range(20), 2))
        >>> matched = match(faces, fmr=0.01)
        >>> matched.report.equal_error_rate < 0.05
        True
    """
    comparison = compare(
        _opened(probes),
        None if gallery is None else _opened(gallery),
        subject=subject,
        subject_pattern=subject_pattern,
        groups=groups,
    )
    if comparison.pairs == comparison.same_picture_pairs:
        raise EmptyDataError(
            f"{comparison.probes.features.name}: no two pictures to compare; give a set of more"
        )
    fraction = max(COUNTED_FRACTION, 1.5 * fmr)
    counts = match_pairs(comparison, tail=tail, memory=memory, counted_fraction=fraction)
    return Match(comparison, counts, match_report(counts, fmr))


@dataclass(frozen=True, repr=False)
class Search(Result):
    """The candidates of each probe. If the people are known, also the identification rates."""

    sides: SearchSides
    records: list[dict[str, list[float]]]
    report: IdentificationReport | None
    threshold: float | None

    @property
    def title(self) -> str:
        """Who was searched in whom."""
        return f"{len(self.sides.comparison.probes):,} probes in {len(self.sides.comparison.gallery):,} rows"

    @property
    def summary(self) -> str:
        """The identification rates, or the reason why they are not known."""
        if self.report is None:
            return f"{self.title}\nno measures of identification: {self.sides.unknown}"
        return f"{self.title}\n{identification_tables(self.report)}"

    def table_rows(self) -> Mapping[str, TableRows]:
        """`candidates`; if the people are known, also `identification` and `identification_det`."""
        rows = candidate_rows(self.sides.comparison, self.records, self.sides.subjects, self.threshold)
        measures = {} if self.report is None else identification_rows(self.report)
        return {"candidates": TableRows(CANDIDATE_COLUMNS, rows), **measures}

    def shown_tables(self) -> Mapping[str, Table]:
        """The first candidates."""
        header, rows = self.table_rows()["candidates"]
        return {
            "Candidates": Table(
                header, [["" if cell is None else str(cell) for cell in row] for row in rows][:20]
            )
        }

    def figures(self) -> Mapping[str, Figure]:
        """If the people are known: the identification rate by rank, and FNIR against FPIR."""
        return {} if self.report is None else identification_figures(self.report)


def search(
    probes: Features,
    gallery: Features,
    *,
    top: int = 10,
    threshold: float | None = None,
    subject: str | None = None,
    subject_pattern: str | None = None,
    memory: float = 1e9,
) -> Search:
    """Find the most similar faces of a gallery for each probe, by an exact search.

    Args:
        probes: a feature set, or the folder of one.
        gallery: a feature set, or the folder of one.
        top: the number of candidates for each probe.
        threshold: a candidate is accepted if its score is at least this value, -1 to 1.
        subject: as in `match`. The people of the probes may be unknown.
        subject_pattern: as in `match`.
        memory: the limit for a block, in bytes.

    Raises:
        UsageError, EmptyDataError, FeatureSetError, MissingFileError: as `match`.
    """
    sides = search_sides(_opened(probes), _opened(gallery), subject, subject_pattern)
    numbers = np.arange(len(sides.comparison.probes))
    records = [
        record
        for found in search_rows(sides.comparison, numbers, top, memory)
        for record in records_of(found)
    ]
    report = None
    if not sides.unknown:
        given = () if threshold is None else (threshold,)
        report = identification_report(outcomes_of(sides.comparison, records), top, given)
    return Search(sides, records, report, threshold)


def _opened(features: Features) -> FeatureSet:
    return features if isinstance(features, FeatureSet) else FeatureSet.open(Path(features))
