"""What is counted while pairs are compared."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from face_analysis.evaluation.score_histogram import BINS, ScoreHistogram
from face_analysis.matching.comparison import Comparison, Numbers
from face_analysis.matching.result import MATED, NON_MATED, MatchResult, PairScores
from face_analysis.matching.strips import MARGIN, TOTAL_BINS, Strip
from face_analysis.matching.tails import Tail, exact_cosines

PLACES_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Slots:
    """Coarse bins for counts by subject: slot 0 holds all below bin `floor`, the others `width` bins each."""

    floor: int
    width: int

    @property
    def count(self) -> int:
        """How many slots there are."""
        return 1 - (self.floor - TOTAL_BINS) // self.width

    def of(self, bins: Numbers) -> Numbers:
        """The slot of each bin."""
        return np.maximum((bins - self.floor) // self.width + 1, 0)

    def thresholds(self) -> NDArray[np.float64]:
        """The score from which slot 1 and on are counted, slot 2 and on ... (count - 1,)."""
        bins = self.floor + self.width * np.arange(self.count - 1)
        return (bins - MARGIN) / (BINS / 2) - 1


class Tally:
    """Exact counts of pairs, whatever the order of strips; several threads may add to it.

    `histograms` holds (2, TOTAL_BINS), non-mated and mated, by the groups of probe and gallery row.
    `by_unit` (2, U, G, slots) are pairs of a unit with rows of a group: non-mated ones from slot 1 on,
    counted for both their units, and mated ones, counted for the probe's. `compared` (U, G) are all
    non-mated pairs.
    """

    def __init__(self, units: int, groups: int, slots: Slots, tail: int, *, within: bool) -> None:
        self.slots = slots
        self.within = within
        self.histograms: dict[tuple[int, int], Numbers] = {}
        self.by_unit = np.zeros((2, units, groups, slots.count), np.int64)
        self.compared = np.zeros((units, groups), np.int64)
        self.highest, self.lowest = Tail("highest", tail), Tail("lowest", tail)
        self._lock = Lock()

    def add(self, strip: Strip) -> None:
        """Count the pairs of a strip."""
        non_mated, mated = strip.histogram(), np.bincount(strip.mated_bins, minlength=TOTAL_BINS)
        key = strip.rows.group, strip.columns.group
        with self._lock:
            counts = self.histograms.setdefault(key, np.zeros((2, TOTAL_BINS), np.int64))
            counts += np.stack([non_mated, mated])
            self._add_compared(strip)
        limit = self.highest.limit(non_mated)
        places, bins = strip.where(max(min(limit, self.slots.floor), 1))
        self._add_tail(self.highest, strip, places[self.highest.reached(bins, limit)])
        followed = bins >= self.slots.floor
        self._add_by_unit(strip, NON_MATED, places[followed], bins[followed])
        limit = self.lowest.limit(mated)
        self._add_tail(self.lowest, strip, strip.mated[self.lowest.reached(strip.mated_bins, limit)])
        self._add_by_unit(strip, MATED, strip.mated, strip.mated_bins)

    def _add_compared(self, strip: Strip) -> None:
        rows, columns = strip.rows, strip.columns
        out = np.concatenate([strip.mated, strip.skipped])
        row = out // len(columns)
        column = out - row * len(columns)
        of_rows = len(columns) - np.bincount(row, minlength=len(rows))
        of_columns = len(rows) - np.bincount(column, minlength=len(columns))
        np.add.at(self.compared[:, columns.group], rows.unit, of_rows)
        np.add.at(self.compared[:, rows.group], columns.unit, of_columns)

    def _add_by_unit(self, strip: Strip, kind: int, places: Numbers, bins: Numbers) -> None:
        rows, columns = strip.rows, strip.columns
        counts = self.by_unit[kind].reshape(-1)
        groups, slots = self.by_unit.shape[2:]
        for start in range(0, len(places), PLACES_AT_ONCE):
            chunk = places[start : start + PLACES_AT_ONCE]
            row = chunk // len(columns)
            column = chunk - row * len(columns)
            slot = self.slots.of(bins[start : start + PLACES_AT_ONCE])
            with self._lock:
                np.add.at(counts, (rows.unit[row] * groups + columns.group) * slots + slot, 1)
                if kind == NON_MATED:
                    np.add.at(counts, (columns.unit[column] * groups + rows.group) * slots + slot, 1)

    def _add_tail(self, tail: Tail, strip: Strip, places: Numbers) -> None:
        if not len(places):
            return
        row, column = np.divmod(places, len(strip.columns))
        scores = exact_cosines(strip.rows.features, strip.columns.features, row, column)
        probe, gallery = strip.rows.row[row], strip.columns.row[column]
        if self.within:
            probe, gallery = np.minimum(probe, gallery), np.maximum(probe, gallery)
        with self._lock:
            tail.add(PairScores(scores, probe, gallery))


def result_of(comparison: Comparison, tally: Tally) -> MatchResult:
    """The counts of a finished run under the names of groups and subjects."""
    names = comparison.groups
    histograms = {
        (names[probe], names[gallery]): ScoreHistogram(_folded(counts[MATED]), _folded(counts[NON_MATED]))
        for (probe, gallery), counts in sorted(tally.histograms.items())
    }
    units = len(comparison.unit_subject)
    return MatchResult(
        groups=names,
        subjects=comparison.subjects,
        histograms=histograms,
        highest=tally.highest.pairs,
        lowest=tally.lowest.pairs,
        thresholds=tally.slots.thresholds(),
        unit_subject=comparison.unit_subject,
        unit_group=comparison.unit_group,
        gallery_units=units if comparison.within else int(comparison.probes.unit.max()) + 1,
        by_unit=tally.by_unit,
        compared=tally.compared,
    )


def _folded(counts: Numbers) -> Numbers:
    """Without the bins under -1 and over 1, whose counts go into the first and last."""
    inner = counts[MARGIN : MARGIN + BINS].copy()
    inner[0] += counts[:MARGIN].sum()
    inner[-1] += counts[MARGIN + BINS :].sum()
    return inner
