"""Error rates of a comparison of faces from its scores: false matches, false non-matches, and their trade.

Terms of ISO/IEC 19795-1: mated pairs show one person, non-mated pairs two; a pair matches when its score is
at least the threshold. FMR is the fraction of non-mated pairs that match, FNMR that of mated ones that do
not; the literature's TAR at FAR is 1 - FNMR at that FMR.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.intervals import Estimate, wilson
from face_analysis.json_files import with_reasons

Scores = NDArray[np.floating]
MIN_EXPECTED_ERRORS = 10
"""A rate is reported only where at least so many pairs are expected to be in error at it."""
LEAST_SPREAD = 1e-6
"""What float32 adds to the cosines of equal embeddings."""
NO_MATED, NO_NON_MATED, NO_SPREAD = "no mated pairs", "no non-mated pairs", "the scores do not spread"


@dataclass(frozen=True)
class Curve:
    """FMR and FNMR (K,), 0 to 1, at `thresholds` (K,), which rise; the last lets nothing match.

    Without mated pairs FNMR is NaN, without non-mated pairs FMR is.
    """

    thresholds: NDArray[np.float64]
    fmr: NDArray[np.float64]
    fnmr: NDArray[np.float64]
    mated: int
    non_mated: int

    @property
    def lacking(self) -> str:
        """The kind of pairs that there are none of, without which some rates are not known; "" for both."""
        if not self.mated:
            return NO_MATED
        return "" if self.non_mated else NO_NON_MATED

    @property
    def few(self) -> bool:
        """Whether there are fewer than MIN_EXPECTED_ERRORS pairs of a kind: what they say may be chance."""
        return min(self.mated, self.non_mated) < MIN_EXPECTED_ERRORS


@dataclass(frozen=True)
class OperatingPoint:
    """The lowest threshold whose FMR is at most `asked`, and the rates there.

    `unsupported` is "", or says why the pairs cannot tell so small a rate: there are none of a kind, or fewer
    than MIN_EXPECTED_ERRORS / asked non-mated ones. Without non-mated pairs `threshold`, `fmr` and `fnmr` are
    None, without mated pairs `fnmr` is.
    """

    asked: float
    threshold: float | None
    fmr: float | None
    fnmr: float | None
    unsupported: str

    @property
    def supported(self) -> bool:
        """Whether there are non-mated pairs enough to tell the rate."""
        return self.unsupported in ("", NO_MATED)


@dataclass(frozen=True)
class FixedRates:
    """The rates at a threshold that was fixed elsewhere, with Wilson's intervals over pairs.

    They are for sets that do not say whose pairs they are; where pairs share people they are too narrow. A
    rate is None without pairs of its kind.
    """

    threshold: float
    fmr: Estimate | None
    fnmr: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON; a rate without pairs is None, with the reason beside it."""
        rates = {"fmr": self.fmr and self.fmr.to_dict(), "fnmr": self.fnmr and self.fnmr.to_dict()}
        reasons = {"fmr": NO_NON_MATED, "fnmr": NO_MATED}
        return {"threshold": self.threshold, **with_reasons(rates, reasons)}


def rates_curve(mated: Scores, non_mated: Scores) -> Curve:
    """The exact rates at every score that occurs, from the scores of mated (M,) and non-mated (N,) pairs.

    Raises EmptyDataError without any pair, UsageError for scores that are not finite.
    """
    mated, non_mated = _sorted(mated, "mated"), _sorted(non_mated, "non-mated")
    thresholds = np.unique(np.concatenate([mated, non_mated]))
    if not thresholds.size:
        raise EmptyDataError("no pairs: rates need pairs to be counted")
    thresholds = np.append(thresholds, np.nextafter(thresholds[-1], np.inf))
    fnmr = np.searchsorted(mated, thresholds, side="left") / (mated.size or np.nan)
    fmr = 1 - np.searchsorted(non_mated, thresholds, side="left") / (non_mated.size or np.nan)
    return Curve(thresholds, fmr, fnmr, mated.size, non_mated.size)


def at_fmr(curve: Curve, asked: float) -> OperatingPoint:
    """The operating point of a false match rate. Raises UsageError for one outside 0 to 1."""
    if not 0 < asked <= 1:
        raise UsageError(f"a false match rate of {asked}: give a number over 0, at most 1")
    if not curve.non_mated:
        return OperatingPoint(asked, None, None, None, NO_NON_MATED)
    place = int(np.argmax(curve.fmr <= asked + 1e-12))  # the rates fall, so the first is the lowest threshold
    few = curve.non_mated * asked < MIN_EXPECTED_ERRORS - 1e-9
    needed = math.ceil(MIN_EXPECTED_ERRORS / asked - 1e-6)
    reason = f"{curve.non_mated} non-mated pairs, where {needed} are needed" if few else curve.lacking
    fnmr = float(curve.fnmr[place]) if curve.mated else None
    return OperatingPoint(asked, float(curve.thresholds[place]), float(curve.fmr[place]), fnmr, reason)


def at_threshold(curve: Curve, threshold: float) -> FixedRates:
    """The rates at any threshold: those of the curve's lowest threshold that is not under it."""
    place = min(int(np.searchsorted(curve.thresholds, threshold)), len(curve.thresholds) - 1)
    rates = ((curve.fmr[place], curve.non_mated), (curve.fnmr[place], curve.mated))
    fmr, fnmr = (
        Estimate(float(rate), *wilson(float(rate), pairs), pairs) if pairs else None for rate, pairs in rates
    )
    return FixedRates(threshold, fmr, fnmr)


def equal_error_rate(curve: Curve) -> float | None:
    """Where FMR and FNMR are the same, 0 to 1, on the straight line between the thresholds around it.

    None without pairs of both kinds.
    """
    if curve.lacking:
        return None
    gap = curve.fnmr - curve.fmr  # rises from -1 or more to 1
    after = int(np.argmax(gap >= 0))
    if after == 0 or gap[after] == 0:
        return float(curve.fnmr[after] + curve.fmr[after]) / 2
    fraction = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(curve.fmr[after - 1] + fraction * (curve.fmr[after] - curve.fmr[after - 1]))


def d_prime(mated: Scores, non_mated: Scores) -> float | None:
    """The distance between the two means in units of the root mean square of the standard deviations.

    None without pairs of both kinds, and where neither spreads by LEAST_SPREAD: there is no unit then. Raises
    UsageError for scores that are not finite.
    """
    mated, non_mated = _sorted(mated, "mated"), _sorted(non_mated, "non-mated")
    if not (mated.size and non_mated.size):
        return None
    spread = math.sqrt((float(mated.var()) + float(non_mated.var())) / 2)
    distance = abs(float(mated.mean()) - float(non_mated.mean()))
    return distance / spread if spread > LEAST_SPREAD else None


def _sorted(scores: Scores, what: str) -> NDArray[np.float64]:
    if not np.isfinite(scores).all():
        raise UsageError(f"{int((~np.isfinite(scores)).sum())} of the {what} scores are not finite numbers")
    return np.sort(scores.astype(np.float64), axis=None)
