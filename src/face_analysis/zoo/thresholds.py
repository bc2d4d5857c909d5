"""Thresholds of known recognition models: from which score two faces count as one person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownThresholds:
    """The lowest score at each false match rate, and the pairs on which it was measured.

    The rate holds for people like those of this set. Within a demographic group it can be ten times as high
    (docs/demographics.md).
    """

    scores: Mapping[float, float]
    measured_on: str


THRESHOLDS = {
    "sface": KnownThresholds(
        {1e-2: 0.2650, 1e-3: 0.3352, 1e-4: 0.3934, 1e-5: 0.4461},
        "LFW, 29.6 million pairs of two people, faces found and aligned by this package",
    ),
}
"""By the name of the model in the catalogue; results/demographics_lfw/rates.csv has the figures."""
