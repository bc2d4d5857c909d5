"""Embeddings as arrays: brought to length 1, and which rows are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from face_analysis.matching.features.feature_set import ALL_ZERO, NOT_FINITE

Embeddings = NDArray[np.float32]

SHORTEST = 1e-12
"""A shorter vector has no direction."""
TOLERANCE = 1e-3
"""By so much the length of an embedding may differ from 1."""


def unit_rows(vectors: NDArray[np.floating]) -> Embeddings:
    """(N, D) -> (N, D), each row of length 1; zeros where it has no length, NaN where it is not finite."""
    exact = vectors.astype(np.float64)
    exact[~np.isfinite(exact).all(axis=1)] = np.nan
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    exact[lengths[:, 0] < SHORTEST] = 0
    unit: Embeddings = (exact / np.maximum(lengths, SHORTEST)).astype(np.float32)
    return unit


def faults(embeddings: Embeddings) -> dict[int, str]:
    """The rows of (N, D) that are no embeddings, as `Embedder.embed` gives them, each with the reason."""
    lengths = np.linalg.norm(embeddings, axis=1)
    rows = np.flatnonzero(~(np.abs(lengths - 1) <= TOLERANCE))
    return {int(row): ALL_ZERO if np.isfinite(lengths[row]) else NOT_FINITE for row in rows}
