"""The rates of a match in words: a table of all pairs, and those of groups."""

from __future__ import annotations

from face_analysis.evaluation.error_rates import NO_SPREAD, equal_error_rate
from face_analysis.evaluation.intervals import Estimate
from face_analysis.evaluation.score_histogram import ScoreHistogram, curve_of, d_prime_of
from face_analysis.evaluation.verification_by_group import DemographicReport, Differential, GroupRates
from face_analysis.matching.thresholds import ThresholdCard
from face_analysis.reports.matches.report import MatchReport
from face_analysis.reports.page import Table
from face_analysis.reports.style import STAR, UNSUPPORTED


def separation_text(histogram: ScoreHistogram) -> str:
    """EER and d' of all pairs, or why they are not known."""
    curve, found = curve_of(histogram), d_prime_of(histogram)
    rate = equal_error_rate(curve)
    if rate is None:
        return f"EER and d-prime not known: {curve.lacking}"
    star = STAR if curve.few else ""
    error = f"EER {100 * rate:.2f} %{star}"
    if found is None:
        return f"{error}, d-prime not known: {NO_SPREAD}"
    return f"{error}, d' {found.value:.2f}{star}"


def no_threshold(card: ThresholdCard) -> str:
    """What stands in place of a threshold that the pairs do not support."""
    return UNSUPPORTED if card.threshold is not None else card.unsupported


def rate_table(report: MatchReport) -> Table:
    """A row for each false match rate; those that the pairs do not support say so."""
    rows = []
    for card in report.cards:
        cells = (no_threshold(card), "", "")
        if card.supported and card.threshold is not None and card.fmr is not None:
            fmr = _fmr(card.fmr_interval) if card.fmr_interval else scientific(card.fmr)
            fnmr = _fnmr(card.fnmr_interval)
            if card.fnmr_interval is None and card.fnmr is not None:
                fnmr = f"{100 * card.fnmr:.2f}"
            cells = (f"{card.threshold:.4f}", fmr, fnmr)
        rows.append((f"{card.asked:.0e}".replace("e-0", "e-"), *cells))
    return Table(("FMR asked", "threshold", "FMR [interval]", "FNMR (%) [interval]"), rows)


def group_table(report: DemographicReport) -> Table:
    """A row a group, of its pairs with itself, and the ratios of its rates to the geometric means."""
    ratios = [one.ratios or {} for one in (report.fmr_differential, report.fnmr_differential)]
    rows = []
    for group in report.groups:
        fmr_ratio, fnmr_ratio = (f"{part[group.first]:.2f}" if group.first in part else "" for part in ratios)
        fmr, fnmr = _marked(group)
        rows.append((group.first, f"{group.people:,}", fmr, fmr_ratio, fnmr, fnmr_ratio))
    heads = ("group", "people", "FMR [interval]", "ratio", "FNMR (%) [interval]", "ratio")
    return Table(heads, rows)


def across_table(report: DemographicReport) -> Table:
    """A row for each pair of two groups, with the FNMR where people have images in both."""
    across = [pair for pair in report.pairs if pair.first != pair.second]
    shown = 3 if any(pair.rates.fnmr for pair in across) else 2
    heads = ("groups", "FMR [interval]", "FNMR (%) [interval]")[:shown]
    rows = [(f"{pair.first}, {pair.second}", *_marked(pair))[:shown] for pair in across]
    return Table(heads, rows)


def differential_text(what: str, found: Differential) -> str:
    """How far the groups lie apart, as a sentence."""
    if found.max_to_min is None:
        return f"{what}: {found.reason}; no comparison."
    return (
        f"{what}: the highest is {found.max_to_min:.2f} times the lowest and "
        f"{found.max_to_geometric_mean:.2f} times the geometric mean of {len(found.rates)} groups."
    )


def scientific(rate: float) -> str:
    """Such as 1.02e-4."""
    return f"{rate:.2e}".replace("e-0", "e-") if rate else "0"


def _marked(pair: GroupRates) -> tuple[str, str]:
    """Both rates, with a star where they are not supported."""
    stars = ["" if flag else STAR for flag in (pair.fmr_supported, pair.fnmr_supported)]
    return _fmr(pair.rates.fmr, stars[0]), _fnmr(pair.rates.fnmr, stars[1])


def _fmr(rate: Estimate | None, star: str = "") -> str:
    if rate is None:
        return "no pairs"
    low, high = scientific(rate.low), scientific(rate.high)
    return f"{scientific(rate.value)} [{low}, {high}] (n = {rate.count:,}){star}"


def _fnmr(rate: Estimate | None, star: str = "") -> str:
    if rate is None:
        return "no pairs"
    value, low, high = (f"{100 * number:.2f}" for number in (rate.value, rate.low, rate.high))
    return f"{value} [{low}, {high}] (n = {rate.count:,}){star}"
