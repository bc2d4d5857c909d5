"""1:N search: the gallery rows most like each probe, exact, in memory that does not grow with either set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.matching.comparison import Comparison, Numbers, Panel
from face_analysis.matching.features.usable import LENGTH_TOLERANCE
from face_analysis.matching.strips import same_picture
from face_analysis.matching.tails import exact_cosines

BYTES_PER_PAIR = 128
"""Held at most for each pair of a block, where all its scores are equal."""
FEWEST_ROWS, MOST_ROWS = 64, 4096
MARGIN = 5 * LENGTH_TOLERANCE
"""By so much a product may rank a pair too low: lengths are 1 to LENGTH_TOLERANCE, and products float32."""
NO_SCORE = -2.0
"""Lower than every cosine."""


@dataclass(frozen=True)
class Candidates:
    """The gallery rows most like each of P probes, best first; equal scores in the order of their rows.

    `row` int64 (P, K), -1 where the gallery has no more; `score` float64 (P, K), the cosine to 9 decimals,
    NO_SCORE there.
    """

    row: Numbers
    score: NDArray[np.float64]

    def with_pairs(self, probe: Numbers, row: Numbers, score: NDArray[np.float64]) -> Candidates:
        """The best K of these and of more pairs; `probe` (M,) says which of the P each belongs to."""
        count, top = self.row.shape
        probes = np.append(np.repeat(np.arange(count), top), probe)
        rows, scores = np.append(self.row, row), np.append(self.score, score)
        order = np.lexsort((rows, -scores, probes))
        first = np.searchsorted(probes[order], np.arange(count))
        best = order[np.arange(len(order)) - first[probes[order]] < top]
        return Candidates(rows[best].reshape(count, top), scores[best].reshape(count, top))


def no_candidates(count: int, top: int) -> Candidates:
    """Those of `count` probes before anything is searched."""
    return Candidates(np.full((count, top), -1), np.full((count, top), NO_SCORE))


def search(comparison: Comparison, probes: Numbers, top: int, memory: float) -> Iterator[Candidates]:
    """The `top` candidates of these rows of the probes, a block of them at a time, in their order.

    A gallery row of the probe's own picture is no candidate. `memory` (bytes) bounds a block, beside what
    Python and torch take.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = min(max(int((memory / BYTES_PER_PAIR) ** 0.5), FEWEST_ROWS), MOST_ROWS)
    gallery = np.arange(len(comparison.gallery))
    for start in range(0, len(probes), size):
        rows = comparison.probes.panel(probes[start : start + size], device)
        found = no_candidates(len(rows), top)
        for first in range(0, len(gallery), size):
            columns = comparison.gallery.panel(gallery[first : first + size], device)
            probe, column = _contenders(rows, columns, found)
            scores = exact_cosines(rows.features, columns.features, probe, column)
            found = found.with_pairs(probe, columns.row[column], scores)
        yield found


def recall(found: Candidates, exact: Candidates) -> float:
    """The share of the exact candidates, 0 to 1, that were found, or others with as high a score."""
    there = (exact.row >= 0).sum(axis=1)
    last = np.take_along_axis(exact.score, np.maximum(there - 1, 0)[:, None], axis=1)
    hits = ((found.row >= 0) & (found.score >= last)).sum(axis=1)
    return float(np.minimum(hits, there).sum() / max(there.sum(), 1))


def _contenders(rows: Panel, columns: Panel, found: Candidates) -> tuple[Numbers, Numbers]:
    """The places in both panels of all pairs that may belong to the best K of their probe."""
    scores = rows.features @ columns.features.T
    scores.view(-1)[torch.from_numpy(same_picture(rows, columns)).to(scores.device)] = -torch.inf
    least = torch.from_numpy(found.score[:, -1]).to(scores)
    contend = scores >= (torch.maximum(_last_of_best(scores, found.row.shape[1]), least) - MARGIN)[:, None]
    probe, column = np.nonzero(contend.cpu().numpy())
    return probe, column


def _last_of_best(scores: Tensor, top: int) -> Tensor:
    """The score of each row (P,) that `top` of its columns reach; NO_SCORE where there are fewer."""
    if scores.shape[1] < top:
        return scores.new_full((len(scores),), NO_SCORE)
    return scores.topk(top, sorted=False).values.amin(dim=1).clamp(min=NO_SCORE)
