"""What all-pairs matching found: counts by group and by subject, and the most extreme pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import UsageError
from face_analysis.evaluation.score_histogram import BIN_WIDTH, BINS, ScoreHistogram

GroupPair = tuple[str, str]
NON_MATED, MATED = 0, 1
PAIR = np.dtype([("probe", np.int64), ("gallery", np.int64), ("score", np.float64)])
"""A pair: the numbers of its rows in the feature sets, and its cosine."""
SUBJECT_ERRORS = np.dtype(
    [
        *[("non_mated", np.int64), ("false_matches", np.float64)],
        *[("mated", np.int64), ("false_non_matches", np.float64)],
    ]
)
"""The pairs that involve a subject, and the errors among them at a threshold.

A non-mated pair counts for both its subjects, a mated one once. False matches are non-mated pairs with at
least the threshold, false non-matches mated pairs below it.
"""


@dataclass(frozen=True)
class MatchResult:
    """Counts of all pairs of a comparison.

    `histograms` is by the names of the probe's group and the gallery row's ("" unknown); where probes were
    compared with each other, a pair of groups is there once, in the order of `groups`. `highest` are
    non-mated pairs, best first, `lowest` mated pairs, worst first; both of PAIR.

    `members` (M,) of comparison.MEMBER index `subjects` and `groups`; from `probe_members` on they are of a
    gallery. `by_member` (2, M, G, K + 1) counts non-mated, then mated pairs of a member with rows of a group,
    by how many of the rising `thresholds` (K,) they reach; non-mated pairs that reach none are not counted.
    `compared` (M, G) counts non-mated pairs of any score.
    """

    groups: list[str]
    subjects: list[str]
    histograms: dict[GroupPair, ScoreHistogram]
    highest: NDArray[np.void]
    lowest: NDArray[np.void]
    thresholds: NDArray[np.float64]
    members: NDArray[np.void]
    probe_members: int
    by_member: NDArray[np.int64]
    compared: NDArray[np.int64]

    def histogram(self, pair: GroupPair | None = None) -> ScoreHistogram:
        """The scores of a pair of groups, or of all."""
        found = ScoreHistogram(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64))
        for names, histogram in self.histograms.items():
            if pair is None or names == pair:
                found = found.add(histogram)
        return found

    def subject_errors(self, threshold: float, pair: GroupPair | None = None) -> NDArray[np.void]:
        """Pairs and errors (S,), of SUBJECT_ERRORS, of a pair of groups or of all.

        Errors are exact at each of `thresholds`. Between two of them every subject has the same fraction of
        its pairs between them, such that the sums are those of the histogram. Raises UsageError for a
        threshold below the first.
        """
        if threshold < self.thresholds[0] - BIN_WIDTH / 2:
            raise UsageError(
                f"errors are counted by subject from a score of {self.thresholds[0]:.4f} on, not at "
                f"{threshold:.4f}; run match again with a greater --fmr"
            )
        reached = int(np.searchsorted(self.thresholds, threshold + BIN_WIDTH / 2, side="right"))
        found = np.zeros(len(self.subjects), SUBJECT_ERRORS)
        between = np.zeros((2, len(self.subjects)))
        for members, group in self._members_of(pair):
            subject = self.members["subject"][members]
            non_mated, mated = (self.by_member[kind][members, group] for kind in (NON_MATED, MATED))
            np.add.at(found["non_mated"], subject, self.compared[members, group])
            np.add.at(found["false_matches"], subject, non_mated[:, reached:].sum(axis=1))
            np.add.at(between[NON_MATED], subject, non_mated[:, reached])
            np.add.at(found["mated"], subject, mated.sum(axis=1))
            np.add.at(found["false_non_matches"], subject, mated[:, :reached].sum(axis=1))
            np.add.at(between[MATED], subject, mated[:, reached])
        histogram, edge = self.histogram(pair), math.ceil((threshold + 1) / BIN_WIDTH - 1e-6)
        _move(found["false_matches"], -between[NON_MATED], 2 * int(histogram.non_mated[edge:].sum()))
        _move(found["false_non_matches"], between[MATED], int(histogram.mated[:edge].sum()))
        return found

    def _members_of(self, pair: GroupPair | None) -> Iterator[tuple[NDArray[np.intp] | slice, int]]:
        """Members, and the group of the other row, that together are all pairs or those of two groups."""
        if pair is None:
            yield from ((slice(None), group) for group in range(len(self.groups)))
            return
        probe, gallery = (self.groups.index(name) for name in pair)
        group, last = self.members["group"], self.probe_members
        within = last == len(group)
        yield np.flatnonzero(group[:last] == probe), gallery
        if not within:
            yield last + np.flatnonzero(group[last:] == gallery), probe
        elif probe != gallery:
            yield np.flatnonzero(group == gallery), probe


def _move(errors: NDArray[np.float64], step: NDArray[np.float64], total: int) -> None:
    """Add to each of the errors the same fraction of its step, so that their sum becomes `total`."""
    if step.any():
        errors += (total - errors.sum()) / step.sum() * step
