"""The scores of a strip of rows against a panel, each as the number of its bin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from face_analysis.evaluation.score_histogram import BINS
from face_analysis.matching.comparison import Numbers, Panel

MARGIN = 32
"""Bins below -1 and over 1, for what rounding lifts over the ends; they are folded in at the end."""
TOTAL_BINS = BINS + 2 * MARGIN
OUT = 0
"""The bin of pairs that are not, or no longer, to be counted."""
TILE = {"cpu": 256, "cuda": 16384}
"""Columns of a product: on a CPU, products of 512 rows then stay in its second cache."""


@dataclass(frozen=True)
class Strip:
    """Probes `rows` (R) against `columns` (C): the bins int16 (R * C,) of non-mated pairs, OUT elsewhere.

    `mated` are the places of mated pairs and `mated_bins` their bins; `skipped` are the places of pairs that
    are not compared. A place is row * C + column.
    """

    rows: Panel
    columns: Panel
    bins: Tensor
    mated: Numbers
    mated_bins: Numbers
    skipped: Numbers

    def histogram(self) -> Numbers:
        """Non-mated pairs in each bin, (TOTAL_BINS,)."""
        counts = torch.bincount(self.bins, minlength=TOTAL_BINS)
        counts[OUT] = 0
        return counts.cpu().numpy()

    def where(self, least: int) -> tuple[Numbers, Numbers]:
        """The places of non-mated pairs whose bin is at least `least`, over OUT, and those bins."""
        if self.bins.is_cpu:  # NumPy finds few among many several times as fast as torch
            bins = self.bins.numpy()
            places = np.flatnonzero(bins >= least)
            return places, bins[places].astype(np.int64)
        found = (self.bins >= least).nonzero().flatten()
        return found.cpu().numpy(), self.bins[found].long().cpu().numpy()


def compare_strip(rows: Panel, columns: Panel, *, diagonal: bool) -> Strip:
    """Compare each of `rows` with each of `columns`, but for those of one picture.

    In a `diagonal` strip the columns begin with the rows themselves, and each is compared with later ones.
    """
    square = _bins(rows.features, columns.features)
    skipped: list[Numbers] = []
    if diagonal:
        square[:, : len(rows)].triu_(1)  # leaves OUT elsewhere
        below, beside = np.tril_indices(len(rows))
        skipped.append(below * len(columns) + beside)
    bins = square.flatten()
    skipped.append(_take_out(bins, same_picture(rows, columns))[0])
    mated, mated_bins = _take_out(bins, _equal(rows.subject, columns.subject))
    return Strip(rows, columns, bins, mated, mated_bins, np.concatenate(skipped))


def same_picture(rows: Panel, columns: Panel) -> Numbers:
    """The places of pairs of one picture, which are never compared."""
    if rows.picture.max() < 0:
        return np.zeros(0, np.int64)
    return _equal(np.where(rows.picture < 0, -2, rows.picture), columns.picture)


def _bins(rows: Tensor, columns: Tensor) -> Tensor:
    size = TILE[rows.device.type]
    bins = torch.empty(len(rows), len(columns), dtype=torch.int16, device=rows.device)
    products = torch.empty(len(rows), size, device=rows.device)
    for start in range(0, len(columns), size):
        tile = columns[start : start + size]
        scaled = products[:, : len(tile)].fill_(BINS // 2 + MARGIN).addmm_(rows, tile.T, alpha=BINS / 2)
        bins[:, start : start + size] = scaled
    return bins


def _take_out(bins: Tensor, places: Numbers) -> tuple[Numbers, Numbers]:
    """Those of the places that are not OUT already, and their bins; afterwards they are."""
    wanted = torch.from_numpy(places).to(bins.device)
    found = bins[wanted].long().cpu().numpy()
    bins[wanted] = OUT
    return places[found != OUT], found[found != OUT]


def _equal(rows: Numbers, columns: Numbers) -> Numbers:
    """The places where a row and a column have the same number."""
    order = np.argsort(columns, kind="stable")
    first = np.searchsorted(columns, rows, side="left", sorter=order)
    counts = np.searchsorted(columns, rows, side="right", sorter=order) - first
    row = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    column: Numbers = order[np.repeat(first, counts) + within]
    return row * len(columns) + column
