"""The threshold of a false match rate on a set, with the rates there and their intervals over people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from face_analysis.errors import EmptyDataError, MissingFileError, PackedFileError
from face_analysis.evaluation.error_rates import NO_MATED, NO_NON_MATED, at_fmr
from face_analysis.evaluation.intervals import Estimate, fmr_estimate, fnmr_estimate
from face_analysis.evaluation.score_histogram import curve_of
from face_analysis.json_files import with_reasons
from face_analysis.matching.result import MatchResult

NOT_COUNTED = "scores so low are not counted by person"
FMRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class ThresholdCard:
    """The lowest threshold, at an edge of the bins, whose false match rate is at most `asked`.

    `fmr_interval` and `fnmr_interval` are None where scores so low were not counted by subject, `fnmr` and
    its interval without mated pairs, all without non-mated pairs. `unsupported` and `supported` are as in
    OperatingPoint.
    """

    asked: float
    threshold: float | None
    fmr: float | None
    fnmr: float | None
    unsupported: str
    supported: bool
    fmr_interval: Estimate | None
    fnmr_interval: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and finite numbers, for JSON; what is None has its reason."""
        reason = NO_NON_MATED if self.threshold is None else NO_MATED if self.fnmr is None else NOT_COUNTED
        interval = NO_NON_MATED if self.threshold is None else NOT_COUNTED
        reasons = dict.fromkeys(("threshold", "fmr", "fnmr", "fnmr_interval"), reason)
        return with_reasons(asdict(self), reasons | {"fmr_interval": interval})


def threshold_cards(result: MatchResult, rates: Sequence[float] = FMRS) -> list[ThresholdCard]:
    """The card of each false match rate. Raises EmptyDataError without any pair."""
    curve = curve_of(result.histogram())
    cards = []
    for rate in rates:
        point = at_fmr(curve, rate)
        fmr = fnmr = None
        if point.threshold is not None and point.threshold >= result.thresholds[0]:
            errors = result.subject_errors(point.threshold)
            fmr = fmr_estimate(errors["false_matches"], errors["non_mated"])
            fnmr = fnmr_estimate(errors["false_non_matches"], errors["mated"])
        rates_there = (point.threshold, point.fmr, point.fnmr, point.unsupported, point.supported)
        cards.append(ThresholdCard(rate, *rates_there, fmr, fnmr))
    return cards


def read_threshold(path: Path) -> float:
    """The threshold of a card that `match` wrote.

    Raises MissingFileError, PackedFileError, and EmptyDataError for a card without a threshold.
    """
    if not path.is_file():
        raise MissingFileError(path, "threshold card")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if card["threshold"] is None:
            raise EmptyDataError(f"{path}: the match found no threshold ({card.get('threshold_reason')})")
        threshold = float(card["threshold"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PackedFileError(f"{path}: not a threshold.json of `match` ({error}); give another") from error
    if not math.isfinite(threshold):
        raise PackedFileError(f"{path}: the threshold {threshold} is no number; run match again")
    return threshold
