"""The threshold of a false match rate on a set, with the rates there and their intervals over people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from face_analysis.errors import MissingFileError, PackedFileError
from face_analysis.evaluation.error_rates import at_fmr
from face_analysis.evaluation.histogram_rates import curve_of
from face_analysis.evaluation.identity_intervals import fmr_estimate, fnmr_estimate
from face_analysis.evaluation.intervals import Estimate
from face_analysis.matching.result import MatchResult

EDGE_DECIMALS = 4
"""All that the edge of a bin has."""
FMRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class ThresholdCard:
    """The lowest threshold, at an edge of the bins, whose false match rate is at most `asked`.

    `fmr_interval` and `fnmr_interval` are None where scores so low were not counted by subject, `fnmr` and
    its interval without mated pairs. `supported` is as in OperatingPoint.
    """

    asked: float
    threshold: float
    fmr: float
    fnmr: float | None
    supported: bool
    fmr_interval: Estimate | None
    fnmr_interval: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and finite numbers, for JSON."""
        return asdict(self)


def threshold_cards(result: MatchResult, rates: Sequence[float] = FMRS) -> list[ThresholdCard]:
    """The card of each false match rate. Raises EmptyDataError without non-mated pairs."""
    counts = result.subject_counts()
    curve = curve_of(counts.histogram)
    cards = []
    for rate in rates:
        point = at_fmr(curve, rate)
        fmr = fnmr = None
        told = point.fnmr if curve.mated else None
        if point.threshold >= counts.thresholds[0]:
            errors = counts.at(point.threshold)
            fmr = fmr_estimate(errors.false_matches, errors.non_mated)
            fnmr = fnmr_estimate(errors.false_non_matches, errors.mated)
        cards.append(ThresholdCard(rate, point.threshold, point.fmr, told, point.supported, fmr, fnmr))
    return cards


def read_threshold(path: Path) -> float:
    """The threshold of a card that `match` wrote. Raises MissingFileError and PackedFileError."""
    if not path.is_file():
        raise MissingFileError(path, "threshold card")
    try:
        threshold = float(json.loads(path.read_text(encoding="utf-8"))["threshold"])
    except (ValueError, KeyError, TypeError) as error:
        raise PackedFileError(f"{path}: not a threshold.json of `match` ({error}); give another") from error
    if not math.isfinite(threshold):
        raise PackedFileError(f"{path}: the threshold {threshold} is no number; run match again")
    return threshold
