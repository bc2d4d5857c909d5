"""Error rates of a comparison of faces from its scores: false matches, false non-matches, and their trade.

Terms of ISO/IEC 19795-1: mated pairs show one person, non-mated pairs two; a pair matches when its score is
at least the threshold. FMR is the share of non-mated pairs that match, FNMR the share of mated ones that do
not; the literature's TAR at FAR is 1 - FNMR at that FMR.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.intervals import Estimate, wilson

Scores = NDArray[np.floating]
PAIRS_PER_ERROR = 10
"""An FMR is only told where it stands for at least so many of the non-mated pairs."""


@dataclass(frozen=True)
class Curve:
    """FMR and FNMR (K,), 0 to 1, at `thresholds` (K,), which rise; the last lets nothing match.

    Without mated pairs FNMR is NaN.
    """

    thresholds: NDArray[np.float64]
    fmr: NDArray[np.float64]
    fnmr: NDArray[np.float64]
    mated: int
    non_mated: int


@dataclass(frozen=True)
class OperatingPoint:
    """The lowest threshold whose FMR is at most `asked`, and the rates there.

    `supported` is False where the non-mated pairs are too few to tell so small a rate: fewer than
    PAIRS_PER_ERROR / asked. Without mated pairs `fnmr` is NaN.
    """

    asked: float
    threshold: float
    fmr: float
    fnmr: float
    supported: bool


@dataclass(frozen=True)
class FixedRates:
    """The rates at a threshold that was fixed elsewhere, with Wilson's intervals over pairs.

    They are for sets that do not say whose pairs they are; where pairs share people they are too narrow.
    """

    threshold: float
    fmr: Estimate
    fnmr: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return asdict(self)


def rates_curve(mated: Scores, non_mated: Scores) -> Curve:
    """The exact rates at every score that occurs, from the scores of mated (M,) and non-mated (N,) pairs.

    Raises EmptyDataError without pairs of a kind, UsageError for scores that are not finite.
    """
    mated, non_mated = _sorted(mated, "mated"), _sorted(non_mated, "non-mated")
    thresholds = np.unique(np.concatenate([mated, non_mated]))
    thresholds = np.append(thresholds, np.nextafter(thresholds[-1], np.inf))
    fnmr = np.searchsorted(mated, thresholds, side="left") / mated.size
    fmr = 1 - np.searchsorted(non_mated, thresholds, side="left") / non_mated.size
    return Curve(thresholds, fmr, fnmr, mated.size, non_mated.size)


def at_fmr(curve: Curve, asked: float) -> OperatingPoint:
    """The operating point of a false match rate. Raises UsageError for one outside 0 to 1."""
    if not 0 < asked <= 1:
        raise UsageError(f"a false match rate of {asked}: give a number over 0, at most 1")
    place = int(np.argmax(curve.fmr <= asked + 1e-12))  # the rates fall, so the first is the lowest threshold
    supported = curve.non_mated * asked >= PAIRS_PER_ERROR - 1e-9
    return OperatingPoint(
        asked, float(curve.thresholds[place]), float(curve.fmr[place]), float(curve.fnmr[place]), supported
    )


def at_threshold(curve: Curve, threshold: float) -> FixedRates:
    """The rates at any threshold: those of the curve's lowest threshold that is not under it."""
    place = min(int(np.searchsorted(curve.thresholds, threshold)), len(curve.thresholds) - 1)
    rates = ((curve.fmr[place], curve.non_mated), (curve.fnmr[place], curve.mated))
    fmr, fnmr = (Estimate(float(rate), *wilson(float(rate), pairs), pairs) for rate, pairs in rates)
    return FixedRates(threshold, fmr, fnmr)


def equal_error_rate(curve: Curve) -> float:
    """Where FMR and FNMR are the same, 0 to 1, on the straight line between the thresholds around it."""
    gap = curve.fnmr - curve.fmr  # rises from -1 or more to 1
    after = int(np.argmax(gap >= 0))
    if after == 0 or gap[after] == 0:
        return float(curve.fnmr[after] + curve.fmr[after]) / 2
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(curve.fmr[after - 1] + share * (curve.fmr[after] - curve.fmr[after - 1]))


def d_prime(mated: Scores, non_mated: Scores) -> float:
    """The distance between the two means in units of the root mean square of the standard deviations.

    Infinite where neither spreads. Raises as `rates_curve`.
    """
    mated, non_mated = _sorted(mated, "mated"), _sorted(non_mated, "non-mated")
    spread = math.sqrt((float(mated.var()) + float(non_mated.var())) / 2)
    distance = abs(float(mated.mean()) - float(non_mated.mean()))
    return distance / spread if spread > 0 else math.inf


def _sorted(scores: Scores, what: str) -> NDArray[np.float64]:
    if scores.size == 0:
        raise EmptyDataError(f"no {what} pairs: rates need pairs of both kinds")
    if not np.isfinite(scores).all():
        raise UsageError(f"{int((~np.isfinite(scores)).sum())} of the {what} scores are not finite numbers")
    return np.sort(scores.astype(np.float64), axis=None)
