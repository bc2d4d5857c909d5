"""Verification of pairs: the error rates of all together, and accuracy in folds, each judged by the threshold
that is best on the others, where a protocol has folds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.error_rates import (
    NO_SPREAD,
    Curve,
    OperatingPoint,
    at_fmr,
    d_prime,
    equal_error_rate,
    rates_curve,
)
from face_analysis.json_files import with_reasons

FALSE_MATCH_RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
NO_FOLDS, ONE_FOLD = "no folds", "one fold: a threshold is chosen on others"
NOTHING_MATCHES = "no score of the other folds is a better threshold than one above all of them"


@dataclass(frozen=True)
class FoldAccuracy:
    """Accuracy (K,), 0 to 1, of each fold, at the threshold (K,) that was best on the others."""

    accuracies: NDArray[np.float64]
    thresholds: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Over the folds."""
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the folds' accuracies (divided by K, as published figures are)."""
        return float(self.accuracies.std())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON; a threshold that lets nothing match is None, with the reason beside."""
        thresholds = [value if math.isfinite(value) else None for value in self.thresholds.tolist()]
        found = {
            "accuracy": self.mean,
            "accuracy_std": self.std,
            "fold_accuracies": self.accuracies.tolist(),
            "fold_thresholds": thresholds,
        }
        return found | {"fold_thresholds_reason": NOTHING_MATCHES} if None in thresholds else found


@dataclass(frozen=True)
class VerificationReport:
    """What a model does on a verification set.

    `accuracy` is None where there are no folds, one alone, or pairs of one kind alone; `no_accuracy` says
    which. `equal_error_rate` and `d_prime` are None where the pairs do not tell them. `curve` and `points`,
    one for each of FALSE_MATCH_RATES, are of all pairs at once. `faces_missed` of `images` photos were taken
    whole because no face was found; `pairs_left_out` have a side without an image or embedding.
    """

    name: str
    accuracy: FoldAccuracy | None
    no_accuracy: str
    curve: Curve
    equal_error_rate: float | None
    d_prime: float | None
    points: tuple[OperatingPoint, ...]
    images: int
    faces_missed: int
    pairs_left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON; a figure that the pairs cannot tell is None, with the reason beside it."""
        accuracy = {"accuracy": None, "accuracy_reason": self.no_accuracy}
        figures = {"equal_error_rate": self.equal_error_rate, "d_prime": self.d_prime}
        reasons = {f"{point.asked:.0e}": point.unsupported for point in self.points if point.unsupported}
        return {
            "pairs": {"mated": self.curve.mated, "non_mated": self.curve.non_mated},
            "pairs_left_out": self.pairs_left_out,
            "images": self.images,
            "faces_missed": self.faces_missed,
            **(self.accuracy.to_dict() if self.accuracy else accuracy),
            **with_reasons(figures, {"equal_error_rate": self.curve.lacking, "d_prime": self.no_d_prime}),
            "tar_at_far": {f"{point.asked:.0e}": _tar(point) for point in self.points},
            **({"tar_at_far_reason": reasons} if reasons else {}),
        }

    @property
    def no_d_prime(self) -> str:
        """Why there is no d', where there is none."""
        return self.curve.lacking or NO_SPREAD


def verify_pairs(
    name: str,
    scores: NDArray[np.floating],
    same: NDArray[np.bool_],
    folds: NDArray[np.integer] | None,
    *,
    images: int,
    faces_missed: int = 0,
    pairs_left_out: int = 0,
) -> VerificationReport:
    """All measures of a verification set from the scores (P,) of its pairs; the counts are the report's.

    Raises UsageError for scores that are not finite or do not pair up, EmptyDataError without any pair.
    """
    mated, non_mated = scores[same], scores[~same]
    if not scores.size:
        raise EmptyDataError(f"{name}: no pair is left to measure; see errors.csv")
    curve = rates_curve(mated, non_mated)
    reason = curve.lacking or (NO_FOLDS if folds is None else "")
    if not reason and folds is not None and len(np.unique(folds)) < 2:
        reason = ONE_FOLD
    accuracy = None if reason or folds is None else fold_accuracy(scores, same, folds)
    return VerificationReport(
        name,
        accuracy,
        reason,
        curve,
        equal_error_rate(curve),
        d_prime(mated, non_mated),
        tuple(at_fmr(curve, rate) for rate in FALSE_MATCH_RATES),
        images,
        faces_missed,
        pairs_left_out,
    )


def _tar(point: OperatingPoint) -> dict[str, float | None] | None:
    if point.unsupported or point.fnmr is None:
        return None
    return {"tar": 1 - point.fnmr, "far": point.fmr, "threshold": point.threshold}


def fold_accuracy(
    scores: NDArray[np.floating], same: NDArray[np.bool_], folds: NDArray[np.integer]
) -> FoldAccuracy:
    """The protocol of LFW's View 2 (Huang et al. 2007) for scores (N,), of pairs in folds (N,) of any names.

    A pair is taken for one person when its score is at least the threshold, which is the `best_threshold` of
    the other folds. Raises UsageError for fewer than two folds, or for arrays that do not pair up or scores
    that are not finite.
    """
    if not scores.shape == same.shape == folds.shape or scores.ndim != 1:
        raise UsageError(f"scores {scores.shape}, same {same.shape} and folds {folds.shape} must pair up")
    if not np.isfinite(scores).all():
        raise UsageError(f"{int((~np.isfinite(scores)).sum())} scores are not finite numbers")
    names = np.unique(folds)
    if len(names) < 2:
        raise UsageError("verification needs at least two folds: one to judge, the others to choose from")
    thresholds = np.array([best_threshold(scores[folds != name], same[folds != name]) for name in names])
    accuracies = np.array(
        [
            np.mean((scores[folds == name] >= threshold) == same[folds == name])
            for name, threshold in zip(names, thresholds, strict=True)
        ]
    )
    return FoldAccuracy(accuracies, thresholds)


def best_threshold(scores: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """The middle of the gap between two neighbouring scores (N,) that parts the pairs with the fewest errors.

    Of equally good gaps the lowest is taken. Where nothing lies on one side of it, a gap has no middle: below
    all scores the threshold is the lowest score, so that all pairs match, and above them it is inf.
    """
    values, place = np.unique(scores.astype(np.float64), return_inverse=True)
    mated = np.bincount(place[same], minlength=len(values))
    non_mated = np.bincount(place[~same], minlength=len(values))
    missed, matched = np.append(0, mated.cumsum()), non_mated.sum() - np.append(0, non_mated.cumsum())
    gap = int(np.argmin(missed + matched))  # that below the value of this number
    if gap == 0 or gap == len(values):
        return float(np.append(values, np.inf)[gap])
    middle = (values[gap - 1] + values[gap]) / 2
    return float(middle if middle > values[gap - 1] else values[gap])  # nothing lies between two floats
