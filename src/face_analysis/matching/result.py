"""What all-pairs matching found: counts by group and by subject, and the most extreme pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import UsageError
from face_analysis.evaluation.score_histogram import BIN_WIDTH, BINS, ScoreHistogram

Numbers = NDArray[np.int64]
GroupPair = tuple[str, str]
NON_MATED, MATED = 0, 1


@dataclass(frozen=True)
class PairScores:
    """Cosines float64 (P,) of pairs, each given by its rows in the feature sets, int64 (P,)."""

    score: NDArray[np.float64]
    probe: Numbers
    gallery: Numbers

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class SubjectErrors:
    """Pairs (S,) by the subject they involve, and errors (S,) at a threshold; means, where it is between two.

    A non-mated pair counts for both its subjects, a mated one once. False matches are non-mated pairs with at
    least the threshold, false non-matches mated pairs below it.
    """

    non_mated: Numbers
    false_matches: NDArray[np.float64]
    mated: Numbers
    false_non_matches: NDArray[np.float64]


@dataclass(frozen=True)
class SubjectCounts:
    """The same at each of the rising `thresholds` (K,), with exact errors (S, K), and the scores of all."""

    thresholds: NDArray[np.float64]
    non_mated: Numbers
    false_matches: Numbers
    mated: Numbers
    false_non_matches: Numbers
    histogram: ScoreHistogram

    def at(self, threshold: float) -> SubjectErrors:
        """Errors at any threshold from the first of `thresholds` on.

        Between two of them each subject has the same share of the way, such that the sums are those of the
        histogram. Raises UsageError for a lower threshold.
        """
        if threshold < self.thresholds[0] - BIN_WIDTH / 2:
            raise UsageError(
                f"errors are counted by subject from a score of {self.thresholds[0]:.4f} on, not at "
                f"{threshold:.4f}; run match again with a greater --fmr"
            )
        edge = math.ceil((threshold + 1) / BIN_WIDTH - 1e-6)
        place = int(np.searchsorted(self.thresholds, threshold + BIN_WIDTH / 2))
        return SubjectErrors(
            self.non_mated,
            _between(self.false_matches, place, 2 * int(self.histogram.non_mated[edge:].sum())),
            self.mated,
            _between(self.false_non_matches, place, int(self.histogram.mated[:edge].sum())),
        )


@dataclass(frozen=True)
class MatchResult:
    """Counts of all pairs of a comparison.

    `histograms` is by the names of the probe's group and the gallery row's ("" unknown); where probes were
    compared with each other, a pair of groups is there once, in the order of `groups`. `highest` are
    non-mated pairs, best first, `lowest` mated pairs, worst first; both by their rows.

    A unit is a subject in a group: `unit_subject` and `unit_group` (U,) index `subjects` and `groups`; from
    `gallery_units` on they are the gallery's. `by_unit` (2, U, G, K + 1) counts non-mated, then mated pairs
    of a unit with rows of a group, by the slot that `thresholds` (K,) put the score in (non-mated pairs of
    slot 0 are not counted); `compared` (U, G) counts non-mated pairs of any score.
    """

    groups: list[str]
    subjects: list[str]
    histograms: dict[GroupPair, ScoreHistogram]
    highest: PairScores
    lowest: PairScores
    thresholds: NDArray[np.float64]
    unit_subject: Numbers
    unit_group: Numbers
    gallery_units: int
    by_unit: Numbers
    compared: Numbers

    def histogram(self, pair: GroupPair | None = None) -> ScoreHistogram:
        """The scores of a pair of groups, or of all."""
        found = ScoreHistogram(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64))
        for names, histogram in self.histograms.items():
            if pair is None or names == pair:
                found = found.add(histogram)
        return found

    def subject_counts(self, pair: GroupPair | None = None) -> SubjectCounts:
        """Pairs and errors by subject, of a pair of groups or of all."""
        return self._all_counts if pair is None else self._counts(pair)

    @cached_property
    def _all_counts(self) -> SubjectCounts:
        return self._counts(None)

    def _counts(self, pair: GroupPair | None) -> SubjectCounts:
        counts = np.zeros((2, len(self.subjects), self.by_unit.shape[3]), np.int64)
        compared = np.zeros(len(self.subjects), np.int64)
        for units, other in self._units_of(pair):
            subjects = self.unit_subject[units]
            np.add.at(compared, subjects, self.compared[units, other])
            for kind in (NON_MATED, MATED):
                np.add.at(counts[kind], subjects, self.by_unit[kind, units, other])
        return SubjectCounts(
            self.thresholds,
            compared,
            np.cumsum(counts[NON_MATED, :, :0:-1], axis=1)[:, ::-1],
            counts[MATED].sum(axis=1),
            np.cumsum(counts[MATED], axis=1)[:, :-1],
            self.histogram(pair),
        )

    def subject_errors(self, threshold: float, pair: GroupPair | None = None) -> SubjectErrors:
        """Errors by subject at a threshold; see `SubjectCounts.at`."""
        return self.subject_counts(pair).at(threshold)

    def _units_of(self, pair: GroupPair | None) -> list[tuple[Numbers, int]]:
        """Units, and the group of the other row, that together are all pairs or those of a pair of groups."""
        number = np.arange(len(self.unit_subject))
        if pair is None:
            return [(number, other) for other in range(len(self.groups))]
        probe, gallery = (self.groups.index(name) for name in pair)
        within = self.gallery_units == len(number)
        probes = (self.unit_group == probe) & (within | (number < self.gallery_units))
        others = (self.unit_group == gallery) & (within | (number >= self.gallery_units))
        found = [(number[probes], gallery), (number[others], probe)]
        return found[:1] if within and probe == gallery else found


def _between(errors: Numbers, place: int, total: int) -> NDArray[np.float64]:
    """Errors (S,) between columns `place - 1` and `place` of (S, K), whose sum is `total`."""
    before = errors[:, place - 1]
    after = errors[:, place] if place < errors.shape[1] else before
    gap = int(after.sum() - before.sum())
    share = (total - int(before.sum())) / gap if gap else 0.0
    return before + share * (after - before)
