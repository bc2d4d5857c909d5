"""Embeddings as arrays, and which of their rows are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from face_analysis.matching.features.feature_set import ALL_ZERO, NOT_FINITE

Embeddings = NDArray[np.float32]

TOLERANCE = 1e-3
"""By so much the length of an embedding may differ from 1."""


def faults(embeddings: Embeddings) -> dict[int, str]:
    """The rows of (N, D) that are no embeddings, as `Embedder.embed` gives them, each with the reason."""
    lengths = np.linalg.norm(embeddings, axis=1)
    rows = np.flatnonzero(~(np.abs(lengths - 1) <= TOLERANCE))
    return {int(row): ALL_ZERO if np.isfinite(lengths[row]) else NOT_FINITE for row in rows}
