"""The inner loop of `match`: the cosines of a block of pairs, each as its bin of the score histogram."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.evaluation.score_histogram import BINS
from face_analysis.matching.comparison import Numbers, Panel, Records

MARGIN_BINS = 32
"""Bins below -1 and over 1, for what rounding lifts over the ends; they are folded in at the end."""
TOTAL_BINS = BINS + 2 * MARGIN_BINS
NO_BIN = 0
"""In place of the bin of a pair that is not to be counted as a non-mated one."""
TILE_COLUMNS = {"cpu": 256, "cuda": 16384}
"""Columns of a product: on a CPU, products of 512 rows then stay in its second cache."""
PAIRS_AT_ONCE, COSINES_AT_ONCE = 1 << 16, 512
EXACT_DECIMALS = 9
"""Exact cosines are rounded so far that those of equal rows are equal, however they were summed."""
PAIR_BIN = np.dtype([(name, np.int32) for name in ("row", "column", "bin")])
"""A pair of a block and its bin."""


@dataclass(frozen=True)
class Block:
    """Rows of the probes (R) against rows of the gallery (C); to be counted, each side must be of one group.

    `bins` int16 (R, C) has the bins of non-mated pairs, NO_BIN elsewhere; `mated` are the mated pairs, of
    PAIR_BIN. `non_mated_by_row` (R,) and `non_mated_by_column` (C,) count the non-mated pairs.
    """

    probes: Panel
    gallery: Panel
    bins: Tensor
    mated: Records
    non_mated_by_row: Numbers
    non_mated_by_column: Numbers

    def histogram(self) -> Numbers:
        """Non-mated pairs in each bin, (TOTAL_BINS,)."""
        counts = torch.bincount(self.bins.view(-1), minlength=TOTAL_BINS)
        counts[NO_BIN] = 0
        return counts.cpu().numpy()

    def non_mated_from(self, least: int) -> Iterator[Records]:
        """Non-mated pairs whose bin is at least `least`, over NO_BIN: arrays of PAIR_BIN."""
        bins, width = self.bins.view(-1), len(self.gallery)
        if bins.is_cpu:  # NumPy finds few among many several times as fast as torch
            places = np.flatnonzero(bins.numpy() >= least)
            found = bins.numpy()[places]
        else:
            on_device = (bins >= least).nonzero().flatten()
            places, found = on_device.cpu().numpy(), bins[on_device].cpu().numpy()
        for start in range(0, len(places), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            row = places[part] // width
            yield _pair_bins(row, places[part] - row * width, found[part])

    def mated_pairs(self) -> Iterator[Records]:
        """The mated pairs, as `non_mated_from` gives the others."""
        for start in range(0, len(self.mated), PAIRS_AT_ONCE):
            yield self.mated[start : start + PAIRS_AT_ONCE]


def compare_block(probes: Panel, gallery: Panel, *, diagonal: bool) -> Block:
    """Compare each of the probes with each of the gallery, but for rows of one picture.

    In a `diagonal` block the gallery begins with the probes themselves, and each is compared with later rows.
    """
    rows, columns = len(probes), len(gallery)
    bins = _bins(probes.features, gallery.features)
    by_row, by_column = np.full(rows, columns), np.full(columns, rows)
    if diagonal:
        bins[:, :rows].triu_(1)  # leaves NO_BIN elsewhere
        by_row -= np.arange(1, rows + 1)
        by_column[:rows] -= np.arange(rows, 0, -1)
    same_picture = _take_out(bins, *same_picture_pairs(probes, gallery))
    mated = _take_out(bins, *_equal(probes.rows["subject"], gallery.rows["subject"]))
    for pairs in (same_picture, mated):
        by_row -= np.bincount(pairs["row"], minlength=rows)
        by_column -= np.bincount(pairs["column"], minlength=columns)
    return Block(probes, gallery, bins, mated, by_row, by_column)


def same_picture_pairs(probes: Panel, gallery: Panel) -> tuple[Numbers, Numbers]:
    """The rows and columns of pairs of one picture, which are never compared."""
    picture = probes.rows["picture"]
    if picture.max() < 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return _equal(np.where(picture < 0, -2, picture), gallery.rows["picture"])


def exact_cosines(probes: Tensor, gallery: Tensor, rows: Numbers, columns: Numbers) -> NDArray[np.float64]:
    """Cosines (P,) in float64 of the probes' `rows` with the gallery's `columns`, pair by pair."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), COSINES_AT_ONCE):
        chunk = slice(start, start + COSINES_AT_ONCE)
        first, second = _vectors(probes, rows[chunk]), _vectors(gallery, columns[chunk])
        lengths = np.sqrt(np.vecdot(first, first) * np.vecdot(second, second))
        found[chunk] = np.vecdot(first, second) / lengths
    return np.round(found, EXACT_DECIMALS)


def _vectors(features: Tensor, rows: Numbers) -> NDArray[np.float64]:
    found = features.index_select(0, torch.from_numpy(np.ascontiguousarray(rows)).to(features.device))
    return found.cpu().numpy().astype(np.float64)


def _bins(rows: Tensor, columns: Tensor) -> Tensor:
    """The bin of each cosine, int16 (R, C): a tile of the product at a time, scaled while it is made."""
    size = TILE_COLUMNS[rows.device.type]
    bins = torch.empty(len(rows), len(columns), dtype=torch.int16, device=rows.device)
    products = torch.empty(len(rows), size, device=rows.device)
    for start in range(0, len(columns), size):
        tile = columns[start : start + size]
        scaled = products[:, : len(tile)].fill_(BINS // 2 + MARGIN_BINS)
        bins[:, start : start + size] = scaled.addmm_(rows, tile.T, alpha=BINS / 2)
    return bins


def _take_out(bins: Tensor, row: Numbers, column: Numbers) -> Records:
    """Those of the pairs that have a bin, of PAIR_BIN; in `bins` they have NO_BIN afterwards."""
    flat = bins.view(-1)
    place = torch.from_numpy(row * bins.shape[1] + column).to(bins.device)
    found = flat[place].cpu().numpy()
    flat[place] = NO_BIN
    there = found != NO_BIN
    return _pair_bins(row[there], column[there], found[there])


def _equal(rows: Numbers, columns: Numbers) -> tuple[Numbers, Numbers]:
    """The places of all rows and columns that have the same number, as pairs."""
    order = np.argsort(columns, kind="stable")
    first = np.searchsorted(columns, rows, side="left", sorter=order)
    counts = np.searchsorted(columns, rows, side="right", sorter=order) - first
    row = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return row, order[np.repeat(first, counts) + within]


def _pair_bins(row: Numbers, column: Numbers, found: np.ndarray) -> Records:
    pairs = np.empty(len(row), PAIR_BIN)
    pairs["row"], pairs["column"], pairs["bin"] = row, column, found
    return pairs
