"""All pairs of a comparison scored and counted, in memory that does not grow with their number.

Rows are sorted by group and cut into panels, small enough that two fit the memory. For each pair of panels,
the rows of both are read. Each block of rows of the first then meets the second: `compare_block` gives each
pair the bin of its score, and `PairCounts.add` counts it. No score is kept. On a CPU each thread works on a
block of its own. After a pair of panels the counts may be saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from face_analysis.errors import UsageError
from face_analysis.matching.blocks import NO_BIN, TOTAL_BINS, compare_block
from face_analysis.matching.comparison import Comparison, Numbers, Panel, Side
from face_analysis.matching.pair_counts import PairCounts
from face_analysis.matching.result import MatchResult
from face_analysis.matching.unfinished import UnfinishedMatch
from face_analysis.parallel import in_order

BLOCK_ROWS = {"cpu": 512, "cuda": 4096}
FEWEST_PANEL_ROWS, MOST_PANEL_ROWS = 64, 16384
PANEL_MEMORY = 1 / 32
"""As a fraction of the memory, what each of the two panels may take."""
COUNTED_FRACTION = 0.015
FEWEST_THRESHOLDS, MOST_THRESHOLDS = 16, 128
SAMPLE_ROWS = 512
"""Rows of a side, from whose scores the lowest threshold is judged."""


def match(
    comparison: Comparison,
    *,
    tail: int = 1000,
    memory: float = 1e9,
    counted_fraction: float = COUNTED_FRACTION,
    unfinished: UnfinishedMatch | None = None,
    progress: Callable[[int], object] = lambda pairs: None,
) -> MatchResult:
    """Compare all pairs, and keep the `tail` most extreme ones at each end.

    `memory` (bytes) bounds panels and counts, beside what Python and torch take. Scores are counted by
    subject too from a threshold that about `counted_fraction`, 0 to 1, of the non-mated pairs reach.
    `unfinished` saves the counts of a run, and resumes one. `progress` gets the number of pairs done since
    its last call.

    Products are float32: a score within 1e-6 of the edge of a bin may be counted in the next one. Raises
    UsageError where the memory does not suffice for so many groups or subjects, and as `UnfinishedMatch`.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    begun = unfinished.load(comparison, tail) if unfinished else None
    counts, done = begun or (_new_counts(comparison, tail, memory, counted_fraction, device), 0)
    threads = torch.get_num_threads()
    try:
        for number, (probes, gallery) in enumerate(panel_pairs(comparison, memory), 1):
            if number <= done:
                progress(_pairs(len(probes), len(gallery), diagonal=probes is gallery))
                continue
            for pairs in _count_panels(counts, probes, gallery, device, threads):
                progress(pairs)
            if unfinished:
                unfinished.save(counts, number)
    finally:
        torch.set_num_threads(threads)
    return counts.result()


def panel_pairs(comparison: Comparison, memory: float) -> Iterator[tuple[Numbers, Numbers]]:
    """The row numbers of each two panels to compare: the same array twice for one compared with itself."""
    bytes_per_row = 4 * comparison.probes.features.size
    size = min(max(int(memory * PANEL_MEMORY / bytes_per_row), FEWEST_PANEL_ROWS), MOST_PANEL_ROWS)
    probes = _panels(comparison.probes, size)
    gallery = probes if comparison.within else _panels(comparison.gallery, size)
    for place, first in enumerate(probes):
        for second in gallery[place if comparison.within else 0 :]:
            yield first, second


def _panels(side: Side, size: int) -> list[Numbers]:
    """The numbers of the rows, by group: at most `size` in a panel, all of one group."""
    group = side.rows["group"]
    of_groups = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    return [rows[start : start + size] for rows in of_groups for start in range(0, len(rows), size)]


def _count_panels(
    counts: PairCounts, probes: Numbers, gallery: Numbers, device: torch.device, threads: int
) -> Iterator[int]:
    """Compare and count two panels block by block; gives the number of pairs of each block."""
    diagonal, size = probes is gallery, BLOCK_ROWS[device.type]
    rows = counts.comparison.probes.panel(probes, device)
    columns = rows if diagonal else counts.comparison.gallery.panel(gallery, device)

    def count_block(start: int) -> int:
        torch.set_num_threads(1)
        part = rows.part(start, start + size)
        others = columns.part(start) if diagonal else columns
        counts.add(compare_block(part, others, diagonal=diagonal))
        return _pairs(len(part), len(others), diagonal=diagonal)

    workers = threads if device.type == "cpu" else 1
    return in_order(count_block, range(0, len(rows), size), workers, 2 * workers)


def _pairs(rows: int, columns: int, *, diagonal: bool) -> int:
    return rows * columns - diagonal * rows * (rows + 1) // 2


def most_thresholds(comparison: Comparison, memory: float) -> int:
    """At how many thresholds errors can be counted by subject.

    Raises UsageError where the memory does not suffice for so many groups or subjects.
    """
    groups = len(comparison.groups)
    group_pairs = groups * (groups + 1) // 2 if comparison.within else groups**2
    histograms = 8 * 2 * TOTAL_BINS * group_pairs
    each = 8 * 2 * len(comparison.members) * groups
    if histograms + (FEWEST_THRESHOLDS + 1) * each > memory / 4:
        raise UsageError(
            f"{groups} groups and {len(comparison.subjects)} subjects are too many for --memory "
            f"{memory / 1e9:g}: give more, or fewer groups"
        )
    return min(max(int(memory / 8 / each) - 1, FEWEST_THRESHOLDS), MOST_THRESHOLDS)


def _new_counts(
    comparison: Comparison, tail: int, memory: float, fraction: float, device: torch.device
) -> PairCounts:
    """Counts with even thresholds from the score over which about this fraction of non-mated pairs are.

    It is judged from the scores of rows spread over both sides. Where these have no non-mated pairs, the
    thresholds begin at the lowest score.
    """
    most = most_thresholds(comparison, memory)
    probes = _sample(comparison.probes, device)
    gallery = probes if comparison.within else _sample(comparison.gallery, device)
    over = np.cumsum(compare_block(probes, gallery, diagonal=comparison.within).histogram()[::-1])
    floor = NO_BIN + 1
    if over[-1]:
        floor = max(TOTAL_BINS - 1 - int(np.searchsorted(over, fraction * over[-1])), floor)
    thresholds = np.arange(floor, TOTAL_BINS, -(-(TOTAL_BINS - floor) // most))
    return PairCounts(comparison, thresholds, tail)


def _sample(side: Side, device: torch.device) -> Panel:
    return side.panel(np.arange(0, len(side), -(-len(side) // SAMPLE_ROWS)), device)
