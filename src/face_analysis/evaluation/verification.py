"""Verification in folds: the threshold is chosen on all folds but one, and judged on that one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import UsageError


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
        """Of the folds' accuracies about their mean (divided by K, as published figures are)."""
        return float(self.accuracies.std())


def fold_accuracy(
    scores: NDArray[np.floating], same: NDArray[np.bool_], folds: NDArray[np.integer]
) -> FoldAccuracy:
    """The protocol of LFW's View 2 (Huang et al. 2007) for scores (N,), of pairs in folds (N,) of any names.

    A pair is taken for one person when its score is at least the threshold. Every score is a candidate; of
    equally good thresholds the lowest is taken. Raises UsageError for fewer than two folds, or for arrays
    that do not pair up or scores that are not finite.
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
    """The lowest score from which calling pairs the same gives the fewest errors; inf for never."""
    order = np.argsort(scores, kind="stable")
    ordered, is_same = scores[order].astype(np.float64), same[order]
    # Errors with the threshold at each score: same pairs below it, different ones from it on.
    below = np.concatenate([[0], np.cumsum(is_same)])
    above = (~is_same).sum() - np.concatenate([[0], np.cumsum(~is_same)])
    candidates = np.append(ordered, np.inf)
    first = np.searchsorted(ordered, candidates, side="left")  # equal scores fall on one side together
    return float(candidates[np.argmin((below + above)[first])])
