"""What `match` prints: the rates of all pairs, and of each pair of groups at one threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from face_analysis.evaluation.error_rates import MIN_EXPECTED_ERRORS
from face_analysis.evaluation.intervals import Estimate
from face_analysis.evaluation.score_histogram import BIN_WIDTH, curve_of
from face_analysis.evaluation.verification_by_group import DemographicReport
from face_analysis.matching.result import MatchResult
from face_analysis.matching.thresholds import ThresholdCard
from face_analysis.reports.matches.report import demographics_of
from face_analysis.reports.matches.tables import no_threshold, separation_text
from face_analysis.reports.style import FEW, STAR, section

NO_PAIRS = "no pairs"
RATE_HEADS = ("FMR asked", "threshold", "FMR", "FNMR (%)", "FNMR, 95 % interval over people (%)")
GROUP_HEADS = ("probe", "gallery", "non-mated pairs", "FMR", "mated pairs", "FNMR (%)")


def rates_text(
    result: MatchResult, card: ThresholdCard, cards: Sequence[ThresholdCard], not_compared: int
) -> str:
    """Markdown: EER and d', the rates of `cards`, and those of groups at the threshold of `card`.

    `not_compared` pairs are of one picture. A star marks a figure of too few pairs or people, as on the page.
    """
    total = result.histogram()
    curve = curve_of(total)
    lines = [f"{curve.mated} mated and {curve.non_mated} non-mated pairs of {len(result.subjects)} people"]
    if not_compared:
        lines.append(f"{not_compared} pairs of one picture are not compared")
    lines += [*_copies(int(total.mated[-1])), separation_text(total), _point(card, curve.mated)]
    lines += section("Error rates", RATE_HEADS, [_row(each) for each in cards])
    demographics = demographics_of(result, card) if card.fmr_interval is not None else None
    if demographics is not None and len(result.groups) > 1:
        title = f"Groups at the threshold {card.threshold:.4f}"
        lines += section(title, GROUP_HEADS, list(_group_rows(demographics)))
    if any(STAR in line for line in lines):
        lines += ["", FEW]
    return "\n".join(lines)


def _copies(pairs: int) -> Iterator[str]:
    if pairs:
        yield (
            f"{pairs} mated pairs have a score over {1 - BIN_WIDTH:.4f}: they may be copies of one picture, "
            "which `face-analysis audit` finds"
        )


def _point(card: ThresholdCard, mated: int) -> str:
    if card.threshold is None or card.fmr is None:
        return f"threshold for FMR {card.asked:g} not known: {card.unsupported}"
    fmr = f"FMR {card.fmr:.3g}{'' if card.supported else STAR}"
    few = STAR if mated < MIN_EXPECTED_ERRORS else ""
    fnmr = "" if card.fnmr is None else f", FNMR {card.fnmr:.4g}{few}"
    return f"threshold {card.threshold:.4f} for FMR {card.asked:g}: {fmr}{fnmr}"


def _row(card: ThresholdCard) -> tuple[str, ...]:
    asked = f"{card.asked:.0e}"
    if not card.supported or card.threshold is None:
        return asked, no_threshold(card), "", "", ""
    fnmr = NO_PAIRS if card.fnmr is None else f"{100 * card.fnmr:.2f}"
    return asked, f"{card.threshold:.4f}", f"{card.fmr:.3g}", fnmr, _interval(card.fnmr_interval)


def _interval(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{100 * estimate.low:.2f} to {100 * estimate.high:.2f}"


def _group_rows(found: DemographicReport) -> Iterator[tuple[str, ...]]:
    for pair in found.pairs:
        fmr = _measured(pair.rates.fmr, 1, pair.fmr_supported)
        yield pair.first, pair.second, *fmr, *_measured(pair.rates.fnmr, 100, pair.fnmr_supported)


def _measured(rate: Estimate | None, scale: float, supported: bool) -> tuple[str, str]:
    star = "" if supported else STAR
    return ("0", "-") if rate is None else (str(rate.count), f"{scale * rate.value:.3g}{star}")
