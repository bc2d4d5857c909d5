"""Whether probabilities of classes mean what they say: temperature scaling and reliability."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError, UsageError

BINS = 15
LOW_TEMPERATURE, HIGH_TEMPERATURE = 0.05, 20.0
HALVINGS = 50

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """What the top class's probability promises and what it holds, in bins of equal width.

    Bin b of B holds the images whose confidence is over b / B and at most (b + 1) / B. `confidence` (B,) is
    their mean, `accuracy` (B,) the share of them predicted right, both 0 to 1 and NaN in a bin without
    images; `count` (B,) are the images.
    """

    confidence: Floats
    accuracy: Floats
    count: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error, 0 to 1: the mean over the images of |accuracy - confidence|."""
        filled = self.count > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float(np.average(gaps, weights=self.count[filled]))


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The T that gives softmax(logits / T) the least negative log likelihood: temperature scaling.

    `logits` (N, C), `labels` (N,) codes 0 to C - 1; images with another label (-1: unknown) are left out.
    T is 0.05 to 20, one of the ends where the best lies beyond it. Raises EmptyDataError where no label is
    known, UsageError for shapes that do not fit or logits that are not finite. Guo et al. 2017 (arXiv
    1706.04599), section 4.2.
    """
    scores, codes = _known_rows(logits, labels)
    if not np.isfinite(scores).all():
        raise UsageError("logits must be finite numbers")
    scores = scores - scores.max(axis=1, keepdims=True)
    right = scores[np.arange(len(codes)), codes].mean()
    # The loss is convex in 1 / T: halve the range until its slope changes sign there.
    low, high = math.log(1 / HIGH_TEMPERATURE), math.log(1 / LOW_TEMPERATURE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        weights = np.exp(scores * math.exp(middle))
        expected = (weights * scores).sum(axis=1) / weights.sum(axis=1)
        low, high = (low, middle) if expected.mean() > right else (middle, high)
    return math.exp(-(low + high) / 2)


def reliability(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS
) -> Reliability:
    """Confidence and accuracy of the top class in `bins` bins; images with an unknown label are left out.

    `probabilities` (N, C) 0 to 1, `labels` (N,) codes. Raises as `calibration_error`.
    """
    if bins < 1:
        raise UsageError(f"{bins} bins: give at least 1")
    shares, codes = _known_rows(probabilities, labels)
    if not ((shares >= 0) & (shares <= 1 + 1e-6)).all():
        raise UsageError("probabilities must be 0 to 1")
    top, right = shares.max(axis=1), shares.argmax(axis=1) == codes
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins).astype(np.int64)
    confidence, accuracy = np.full(bins, np.nan), np.full(bins, np.nan)
    for sums, values in ((confidence, top), (accuracy, right)):
        np.divide(np.bincount(index, weights=values, minlength=bins), count, out=sums, where=count > 0)
    return Reliability(confidence, accuracy, count)


def calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS
) -> float:
    """Expected calibration error of the top class, 0 to 1, over `bins` bins of confidence of equal width.

    `probabilities` (N, C) 0 to 1, `labels` (N,) codes; images with an unknown label are left out. Raises
    EmptyDataError where no label is known, UsageError for shapes that do not fit or probabilities out of
    range. Naeini, Cooper, Hauskrecht 2015 (AAAI); Guo et al. 2017 (arXiv 1706.04599), eq. 5.
    """
    return reliability(probabilities, labels, bins).error


def _known_rows(
    values: NDArray[np.floating], labels: NDArray[np.integer]
) -> tuple[Floats, NDArray[np.int64]]:
    if values.ndim != 2 or labels.shape != values.shape[:1]:
        raise UsageError(f"labels {labels.shape} and rows of classes {values.shape} must pair up one to one")
    known = (labels >= 0) & (labels < values.shape[1])
    if not known.any():
        raise EmptyDataError("nothing to calibrate on: no image has a known label")
    return values[known].astype(np.float64), labels[known].astype(np.int64)
