"""What a report says of a match: rates at several thresholds, and by group at one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import UNKNOWN_GROUP
from face_analysis.evaluation.error_rates import Curve, equal_error_rate
from face_analysis.evaluation.intervals import fmr_estimate, fnmr_estimate
from face_analysis.evaluation.score_histogram import Bounded, ScoreHistogram, curve_of, d_prime_of
from face_analysis.evaluation.verification_by_group import DemographicReport, Rates, demographic_report
from face_analysis.matching.result import MatchResult
from face_analysis.matching.thresholds import FMRS, ThresholdCard, threshold_cards

ALL = "all"


@dataclass(frozen=True)
class MatchReport:
    """Histograms and curves by name, ALL first, then groups by their pairs with themselves.

    Only groups with enough pairs of both kinds have a curve. `cards` are of FMRS, `chosen` of the one false
    match rate by which groups are compared. `demographics` is None without groups or a threshold; `ordered`
    says that the first group of a pair is that of the probe.
    """

    histograms: dict[str, ScoreHistogram]
    curves: dict[str, Curve]
    equal_error_rate: float | None
    d_prime: Bounded | None
    people: int
    cards: tuple[ThresholdCard, ...]
    chosen: ThresholdCard
    demographics: DemographicReport | None
    ordered: bool


def match_report(result: MatchResult, fmr: float) -> MatchReport:
    """Measure a match; its groups at the threshold of a false match rate on all pairs.

    Without non-mated pairs there is no threshold, and groups are not compared. Raises EmptyDataError without
    any pair, UsageError for a rate that is none or too high for errors to be known by person.
    """
    histograms = {ALL: result.histogram()}
    (chosen,) = threshold_cards(result, (fmr,))
    demographics = None
    if any(result.groups):
        demographics = demographics_of(result, chosen)
        histograms |= {
            name or UNKNOWN_GROUP: result.histograms[name, name]
            for name in result.groups
            if (name, name) in result.histograms
        }
    groups = demographics.groups if demographics else ()
    supported = (group.first for group in groups if group.fmr_supported and group.fnmr_supported)
    curves = {name: curve_of(histograms[name]) for name in (ALL, *supported)}
    return MatchReport(
        histograms,
        curves,
        equal_error_rate(curves[ALL]),
        d_prime_of(histograms[ALL]),
        len(result.subjects),
        tuple(threshold_cards(result, FMRS)),
        chosen,
        demographics,
        ordered=result.probe_members < len(result.members),
    )


def demographics_of(result: MatchResult, chosen: ThresholdCard) -> DemographicReport | None:
    """The rates of groups at the threshold of a card; None for a card without one.

    Raises UsageError as `MatchResult.subject_errors`.
    """
    if chosen.threshold is None:
        return None
    people = {
        name or UNKNOWN_GROUP: len(np.unique(result.members["subject"][result.members["group"] == group]))
        for group, name in enumerate(result.groups)
    }
    pairs = {
        (first or UNKNOWN_GROUP, second or UNKNOWN_GROUP): _rates(
            result.subject_errors(chosen.threshold, (first, second))
        )
        for first, second in result.histograms
    }
    overall = _rates(result.subject_errors(chosen.threshold))
    return demographic_report(chosen.threshold, chosen.asked, overall, pairs, people)


def _rates(errors: NDArray[np.void]) -> Rates:
    return Rates(
        fmr_estimate(errors["false_matches"], errors["non_mated"]),
        fnmr_estimate(errors["false_non_matches"], errors["mated"]),
    )
