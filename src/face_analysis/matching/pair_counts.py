"""What `match` counts of each block of pairs: histograms, errors by member, and the most extreme pairs."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock
from typing import Literal

import numpy as np

from face_analysis.evaluation.score_histogram import BINS, ScoreHistogram
from face_analysis.matching.blocks import MARGIN_BINS, TOTAL_BINS, Block, exact_cosines
from face_analysis.matching.comparison import Comparison, Numbers, Records
from face_analysis.matching.result import MATED, NON_MATED, PAIR, MatchResult

MOST_UNSORTED = 0.25
"""As a fraction of the tail, how many pairs may wait to be sorted in."""


class Tail:
    """The `size` highest or lowest scores of the pairs added, in order; equal ones in the order of rows."""

    def __init__(self, end: Literal["highest", "lowest"], size: int) -> None:
        self.sign = -1 if end == "highest" else 1
        self.size = size
        self._sorted = np.zeros(0, PAIR)
        self._waiting: list[Records] = []

    def add(self, pairs: Records) -> None:
        """Take in more pairs, of PAIR; those that do not belong to the tail drop out."""
        self._waiting.append(pairs)
        if sum(map(len, self._waiting)) > MOST_UNSORTED * self.size or len(self._sorted) < self.size:
            self.pairs()

    def pairs(self) -> Records:
        """The tail of all that was added."""
        every = np.concatenate([self._sorted, *self._waiting])
        order = np.lexsort((every["gallery"], every["probe"], self.sign * every["score"]))
        self._sorted, self._waiting = every[order[: self.size]], []
        return self._sorted

    def limit(self, counts: Numbers) -> int:
        """The bin that a pair must reach to enter, when pairs with these `counts` (TOTAL_BINS,) are added.

        One bin more is left for the rounding of float32.
        """
        steps = int(np.searchsorted(np.cumsum(counts[:: self.sign]), self.size))
        reached = self._sorted
        if 0 < self.size == len(reached):
            last = int((reached["score"][-1] + 1) * (BINS / 2)) + MARGIN_BINS
            steps = min(steps, last if self.sign > 0 else TOTAL_BINS - 1 - last)
        return steps + 1 if self.sign > 0 else TOTAL_BINS - 2 - steps


class PairCounts:
    """Exact counts of pairs, whatever the order of blocks; several threads may add to it.

    `histograms` are int64 (2, TOTAL_BINS), non-mated and mated, by the groups of probe and gallery row.
    `threshold_bins` (K,) are the bins at whose lower edges errors are counted by member: `by_member`
    (2, M, G, K + 1) has the pairs of a member with rows of a group, non-mated ones counted for both of their
    members and mated ones for the probe's. Its last axis says how many of the thresholds a pair reaches;
    non-mated pairs that reach none are left out. `compared` (M, G) counts all non-mated pairs.
    """

    def __init__(self, comparison: Comparison, threshold_bins: Numbers, tail: int) -> None:
        shape = len(comparison.members), len(comparison.groups)
        self.comparison = comparison
        self.threshold_bins = threshold_bins
        self.histograms: dict[tuple[int, int], Numbers] = defaultdict(
            lambda: np.zeros((2, TOTAL_BINS), np.int64)
        )
        self.by_member = np.zeros((2, *shape, len(threshold_bins) + 1), np.int64)
        self.compared = np.zeros(shape, np.int64)
        self.highest, self.lowest = Tail("highest", tail), Tail("lowest", tail)
        self._reached = np.searchsorted(threshold_bins, np.arange(TOTAL_BINS), side="right")
        self._lock = Lock()

    def add(self, block: Block) -> None:
        """Count the pairs of a block."""
        non_mated, mated = block.histogram(), np.bincount(block.mated["bin"], minlength=TOTAL_BINS)
        probe_group, gallery_group = _groups(block)
        with self._lock:
            self.histograms[probe_group, gallery_group] += np.stack([non_mated, mated])
            members = block.probes.rows["member"], block.gallery.rows["member"]
            np.add.at(self.compared[:, gallery_group], members[0], block.non_mated_by_row)
            np.add.at(self.compared[:, probe_group], members[1], block.non_mated_by_column)
        limit, floor = self.highest.limit(non_mated), int(self.threshold_bins[0])
        least = max(min(limit, floor), 1)
        for pairs in block.non_mated_from(least):
            self._add_to_tail(self.highest, block, pairs[pairs["bin"] >= limit])
            if least < floor:
                pairs = pairs[pairs["bin"] >= floor]
            self._add_by_member(NON_MATED, block, pairs)
        limit = self.lowest.limit(mated)
        for pairs in block.mated_pairs():
            self._add_to_tail(self.lowest, block, pairs[pairs["bin"] <= limit])
            self._add_by_member(MATED, block, pairs)

    def _add_by_member(self, kind: int, block: Block, pairs: Records) -> None:
        counts = self.by_member[kind].reshape(-1)
        groups, columns = self.by_member.shape[2:]
        probe_group, gallery_group = _groups(block)
        probe_starts = (block.probes.rows["member"] * groups + gallery_group) * columns
        gallery_starts = (block.gallery.rows["member"] * groups + probe_group) * columns
        reached = self._reached[pairs["bin"]]
        probe, gallery = probe_starts[pairs["row"]], gallery_starts[pairs["column"]]
        with self._lock:
            np.add.at(counts, probe + reached, 1)
            if kind == NON_MATED:
                np.add.at(counts, gallery + reached, 1)

    def _add_to_tail(self, tail: Tail, block: Block, pairs: Records) -> None:
        if not len(pairs):
            return
        found = np.empty(len(pairs), PAIR)
        row, column = pairs["row"], pairs["column"]
        found["score"] = exact_cosines(block.probes.features, block.gallery.features, row, column)
        found["probe"] = block.probes.rows["number"][row]
        found["gallery"] = block.gallery.rows["number"][column]
        if self.comparison.within:  # the earlier row is the probe, also where groups changed the order
            ends = found["probe"], found["gallery"]
            found["probe"], found["gallery"] = np.minimum(*ends), np.maximum(*ends)
        with self._lock:
            tail.add(found)

    def result(self) -> MatchResult:
        """The counts of a finished run under the names of groups and subjects."""
        comparison, names = self.comparison, self.comparison.groups
        return MatchResult(
            groups=names,
            subjects=comparison.subjects,
            histograms={
                (names[probe], names[gallery]): ScoreHistogram(
                    _without_margins(counts[MATED]), _without_margins(counts[NON_MATED])
                )
                for (probe, gallery), counts in sorted(self.histograms.items())
            },
            highest=self.highest.pairs(),
            lowest=self.lowest.pairs(),
            thresholds=(self.threshold_bins - MARGIN_BINS) / (BINS / 2) - 1,
            members=comparison.members,
            probe_members=int(comparison.probes.rows["member"].max()) + 1,
            by_member=self.by_member,
            compared=self.compared,
        )


def _groups(block: Block) -> tuple[int, int]:
    return int(block.probes.rows["group"][0]), int(block.gallery.rows["group"][0])


def _without_margins(counts: Numbers) -> Numbers:
    """Without the bins under -1 and over 1, whose counts go into the first and last."""
    inner = counts[MARGIN_BINS : MARGIN_BINS + BINS].copy()
    inner[0] += counts[:MARGIN_BINS].sum()
    inner[-1] += counts[MARGIN_BINS + BINS :].sum()
    return inner
