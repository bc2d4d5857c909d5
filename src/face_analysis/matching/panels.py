"""Which rows meet which, in what order: panels of rows that fit the memory, in pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.matching.comparison import Comparison, Side

MOST_ROWS, FEWEST_ROWS = 16384, 64
SHARE = 1 / 32
"""Of the memory, for each of the two panels in it."""


@dataclass(frozen=True)
class PanelPair:
    """Rows of two groups to compare; of a `diagonal` pair, where both are the same, each with later ones."""

    probes: NDArray[np.int64]
    gallery: NDArray[np.int64]
    diagonal: bool

    @property
    def size(self) -> int:
        """How many pairs of rows it holds."""
        rows = len(self.probes)
        return rows * (rows - 1) // 2 if self.diagonal else rows * len(self.gallery)


def panel_pairs(comparison: Comparison, memory: float) -> list[PanelPair]:
    """The pairs of panels that make up a comparison; `memory` in bytes sets how many rows a panel has."""
    width = comparison.probes.features.size
    rows = min(max(int(memory * SHARE / (4 * width)), FEWEST_ROWS), MOST_ROWS)
    probes = _panels(comparison.probes, rows)
    if comparison.within:
        return [
            PanelPair(first, second, diagonal=first is second)
            for place, first in enumerate(probes)
            for second in probes[place:]
        ]
    gallery = _panels(comparison.gallery, rows)
    return [PanelPair(first, second, diagonal=False) for first in probes for second in gallery]


def _panels(side: Side, rows: int) -> list[NDArray[np.int64]]:
    return [
        side.order[start : min(start + rows, stop)]
        for first, stop in zip(side.bounds[:-1].tolist(), side.bounds[1:].tolist(), strict=True)
        for start in range(first, stop, rows)
    ]
