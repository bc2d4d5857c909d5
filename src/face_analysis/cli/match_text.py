"""What `match` prints: rates of all pairs, and of each pair of groups at one threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from face_analysis.datasets.lists.label_groups import UNKNOWN_GROUP
from face_analysis.evaluation.error_rates import equal_error_rate
from face_analysis.evaluation.histogram_rates import curve_of, d_prime_of
from face_analysis.evaluation.identity_intervals import fmr_estimate, fnmr_estimate
from face_analysis.evaluation.intervals import Estimate
from face_analysis.matching.result import MatchResult
from face_analysis.matching.thresholds import ThresholdCard
from face_analysis.reports.markdown import section

TOO_FEW, NO_PAIRS = "too few pairs", "no pairs"
RATE_HEADS = ("FMR asked", "threshold", "FMR", "FNMR (%)", "FNMR, 95 % interval over people (%)")
GROUP_HEADS = ("probe", "gallery", "non-mated pairs", "FMR", "mated pairs", "FNMR (%)")


def rates_text(result: MatchResult, card: ThresholdCard, cards: Sequence[ThresholdCard]) -> str:
    """Markdown: EER and d', the rates of `cards`, and those of groups at the threshold of `card`."""
    total = result.histogram()
    curve = curve_of(total)
    lines = [f"{curve.mated} mated and {curve.non_mated} non-mated pairs of {len(result.subjects)} people"]
    if curve.mated:
        lines.append(f"EER {100 * equal_error_rate(curve):.2f} %, d' {d_prime_of(total).value:.2f}")
    fnmr = "" if card.fnmr is None else f", FNMR {card.fnmr:.4g}"
    lines.append(f"threshold {card.threshold:.4f} for FMR {card.asked:g}: FMR {card.fmr:.3g}{fnmr}")
    lines += section("Error rates", RATE_HEADS, [_row(each) for each in cards])
    if len(result.groups) > 1 and card.fmr_interval is not None:
        title = f"Groups at the threshold {card.threshold:.4f}"
        lines += section(title, GROUP_HEADS, list(_group_rows(result, card.threshold)))
    return "\n".join(lines)


def _row(card: ThresholdCard) -> tuple[str, ...]:
    asked, threshold = f"{card.asked:.0e}", f"{card.threshold:.4f}"
    if not card.supported:
        return asked, TOO_FEW, "", "", ""
    fnmr = NO_PAIRS if card.fnmr is None else f"{100 * card.fnmr:.2f}"
    return asked, threshold, f"{card.fmr:.3g}", fnmr, _interval(card.fnmr_interval)


def _interval(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{100 * estimate.low:.2f} to {100 * estimate.high:.2f}"


def _group_rows(result: MatchResult, threshold: float) -> Iterator[tuple[str, ...]]:
    for pair in result.histograms:
        errors = result.subject_errors(threshold, pair)
        fmr = fmr_estimate(errors.false_matches, errors.non_mated)
        fnmr = fnmr_estimate(errors.false_non_matches, errors.mated)
        names = (name or UNKNOWN_GROUP for name in pair)
        yield (*names, *_measured(fmr, 1), *_measured(fnmr, 100))


def _measured(rate: Estimate | None, scale: float) -> tuple[str, str]:
    return ("0", "") if rate is None else (str(rate.count), f"{scale * rate.value:.3g}")
