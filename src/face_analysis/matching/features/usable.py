"""Which rows of a feature set are embeddings that can be compared."""

from __future__ import annotations

import numpy as np

from face_analysis.errors import EmptyDataError, FeatureSetError
from face_analysis.matching.features.feature_set import ROWS_AT_ONCE, FeatureSet
from face_analysis.types import ImageFailure

LENGTH_TOLERANCE = 1e-5
SHORTEST = 1e-6
"""An embedding shorter than this has no direction."""
NOT_FINITE, ALL_ZERO = "the embedding is not finite (NaN or infinite)", "the embedding is all zeros"


def usable_rows(features: FeatureSet) -> tuple[FeatureSet, list[ImageFailure]]:
    """The set without rows that are no embeddings, and these rows with the reason, by the path of the image.

    A row that is not finite or all zeros is left out: the model had no answer for that image. Raises
    FeatureSetError where other rows are not of length 1, as the set is not one of embeddings then, and
    EmptyDataError where no row is left.
    """
    if not len(features):
        raise EmptyDataError(f"{features.folder}: the feature set is empty; extract it from more images")
    out: dict[int, str] = {}
    wrong: list[int] = []
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(features)))
        vectors = features.read(rows)
        length = np.sqrt(np.vecdot(vectors, vectors))
        broken = ~np.isfinite(vectors).all(axis=1)
        empty = ~broken & (length < SHORTEST)
        out |= dict.fromkeys(rows[broken].tolist(), NOT_FINITE) | dict.fromkeys(
            rows[empty].tolist(), ALL_ZERO
        )
        wrong += rows[~broken & ~empty & ~(np.abs(length - 1) <= LENGTH_TOLERANCE)].tolist()
    if wrong:
        raise FeatureSetError(
            f"{features.folder}: {len(wrong)} rows are not of length 1 (such as "
            f"{', '.join(features.paths[row] for row in wrong[:5])}); extract the set again"
        )
    failures = [_failure(features, row, out[row]) for row in sorted(out)]
    if len(failures) == len(features):
        raise EmptyDataError(
            f"{features.folder}: none of the {len(features)} rows is an embedding (the first: "
            f"{failures[0].reason}); check the model, and extract the set again"
        )
    return features.without(out) if out else features, failures


def _failure(features: FeatureSet, row: int, reason: str) -> ImageFailure:
    return ImageFailure(features.paths[row], f"row {features.rows[row]} of {features.folder}: {reason}")
