"""All pairs compared, panel by panel and strip by strip, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from face_analysis.errors import UsageError
from face_analysis.matching.comparison import Comparison, Panel, Side
from face_analysis.matching.panels import PanelPair, panel_pairs
from face_analysis.matching.result import MatchResult
from face_analysis.matching.saved import SavedTally
from face_analysis.matching.strips import OUT, TOTAL_BINS, compare_strip
from face_analysis.matching.tally import Slots, Tally, result_of
from face_analysis.parallel import in_order

STRIP = {"cpu": 512, "cuda": 4096}
"""Rows of a strip."""
SAMPLE = 512
"""Rows of a side, from whose scores those to follow by subject are judged."""
FOLLOWED = 0.015
MOST_SLOTS, FEWEST_SLOTS = 129, 17


@dataclass(frozen=True)
class MatchSettings:
    """How a comparison is run.

    `tail` pairs at each end are kept. `memory` (bytes) bounds panels and counts, beside what Python and torch
    take. Scores are counted by subject too where they are among the `followed` share of the highest
    non-mated ones, 0 to 1.
    """

    tail: int = 1000
    memory: float = 1e9
    followed: float = FOLLOWED


def match(
    comparison: Comparison,
    settings: MatchSettings,
    saved: SavedTally | None = None,
    progress: Callable[[int], object] = lambda pairs: None,
) -> MatchResult:
    """Compare all pairs; `progress` is told how many more are done, `saved` keeps and takes up a run.

    Products are float32: a score within 1e-6 of the edge of a bin may be counted in the next one. Raises
    UsageError where the memory does not suffice for so many groups or subjects, and WriteError.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tally, done = (saved and saved.load()) or (_new_tally(comparison, settings, device), 0)
    threads = torch.get_num_threads()
    try:
        for number, pair in enumerate(panel_pairs(comparison, settings.memory), 1):
            if number <= done:
                progress(pair.size)
                continue
            for pairs in _compare(comparison, pair, tally, device, threads):
                progress(pairs)
            if saved:
                saved.save(tally, number)
    finally:
        torch.set_num_threads(threads)
    return result_of(comparison, tally)


def _compare(
    comparison: Comparison, pair: PanelPair, tally: Tally, device: torch.device, threads: int
) -> Iterator[int]:
    """Compare two panels; on a CPU each thread works on a strip of its own."""
    probes = comparison.probes.panel(pair.probes, device)
    gallery = probes if pair.diagonal else comparison.gallery.panel(pair.gallery, device)
    size = STRIP[device.type]

    def count(start: int) -> int:
        torch.set_num_threads(1)
        rows = probes.part(start, start + size)
        columns = gallery.part(start) if pair.diagonal else gallery
        tally.add(compare_strip(rows, columns, diagonal=pair.diagonal))
        return len(rows) * len(columns) - pair.diagonal * len(rows) * (len(rows) + 1) // 2

    workers = threads if device.type == "cpu" else 1
    return in_order(count, range(0, len(probes), size), workers, 2 * workers)


def _new_tally(comparison: Comparison, settings: MatchSettings, device: torch.device) -> Tally:
    groups, units = len(comparison.groups), len(comparison.unit_subject)
    pairs = groups * (groups + 1) // 2 if comparison.within else groups**2
    slot = 2 * 8 * units * groups
    if pairs * 2 * 8 * TOTAL_BINS + FEWEST_SLOTS * slot > settings.memory / 4:
        raise UsageError(
            f"{groups} groups and {len(comparison.subjects)} subjects are too many for --memory "
            f"{settings.memory / 1e9:g}: give more, or fewer groups"
        )
    slots = min(max(int(settings.memory / 8 / slot), FEWEST_SLOTS), MOST_SLOTS)
    floor = _floor(comparison, settings.followed, device)
    width = -(-(TOTAL_BINS - floor) // (slots - 1))
    return Tally(units, groups, Slots(floor, width), settings.tail, within=comparison.within)


def _floor(comparison: Comparison, share: float, device: torch.device) -> int:
    """The bin over which about `share` of the non-mated pairs are, from rows spread over both sides."""
    probes = _sample(comparison.probes, device)
    gallery = probes if comparison.within else _sample(comparison.gallery, device)
    counts = compare_strip(probes, gallery, diagonal=comparison.within).histogram()
    over = np.cumsum(counts[::-1])
    return max(TOTAL_BINS - 1 - int(np.searchsorted(over, share * over[-1])), OUT + 1)


def _sample(side: Side, device: torch.device) -> Panel:
    return side.panel(np.arange(0, len(side), -(-len(side) // SAMPLE)), device)
