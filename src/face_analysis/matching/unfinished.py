"""The counts of an unfinished match, kept as a whole file beside its output."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import PackedFileError
from face_analysis.files import whole_file
from face_analysis.journal import check_same_run
from face_analysis.json_files import json_text
from face_analysis.matching.blocks import TOTAL_BINS
from face_analysis.matching.comparison import Comparison
from face_analysis.matching.match_files import array_of, numbers_of, read_arrays
from face_analysis.matching.pair_counts import PairCounts
from face_analysis.matching.result import PAIR

SAVING_FRACTION = 0.02
"""The fraction of a run's time that saving may take."""
FIRST_SAVE_AFTER = 0.5
"""Seconds; a run that is shorter is not worth saving."""


class UnfinishedMatch:
    """A hidden file in the folder of the output; `identity` says by name what the run is of.

    With `resume` a run goes on with the file, without, the file is replaced. Failed writes raise WriteError.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], *, resume: bool) -> None:
        self.path = folder / ".match.unfinished.npz"
        self._identity = json.loads(json_text(identity))
        self._resume = resume
        self._next_save = time.monotonic() + FIRST_SAVE_AFTER

    def load(self, comparison: Comparison, tail: int) -> tuple[PairCounts, int] | None:
        """The counts so far and how many pairs of panels are in them; None where there is none to resume.

        Raises UsageError where the file is of another run, PackedFileError where it is damaged.
        """
        if not self._resume or not self.path.exists():
            return None
        try:
            arrays = read_arrays(self.path)
            state = json.loads(str(arrays["state"]))
            begun, done = dict(state["identity"]), int(state["done"])
        except Exception as error:  # see read_arrays
            raise self._damaged(error) from error
        check_same_run(begun, self._identity, self.path.parent)
        try:
            return _counts(arrays, comparison, tail), done
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged(error) from error

    def save(self, counts: PairCounts, done: int) -> None:
        """Write the counts, but not so soon after the last time that it would slow the run down."""
        started = time.monotonic()
        if started < self._next_save:
            return
        arrays: dict[str, Any] = {
            "state": json_text({"identity": self._identity, "done": done}),
            "threshold_bins": counts.threshold_bins,
            "by_member": counts.by_member,
            "compared": counts.compared,
            "group_pairs": list(counts.histograms),
            "histograms": list(counts.histograms.values()),
            "highest": counts.highest.pairs(),
            "lowest": counts.lowest.pairs(),
        }
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)
        self._next_save = time.monotonic() + (time.monotonic() - started) / SAVING_FRACTION

    def remove(self) -> None:
        """Delete the file: the output is whole."""
        self.path.unlink(missing_ok=True)

    def _damaged(self, error: Exception) -> PackedFileError:
        reason = str(error) or type(error).__name__
        return PackedFileError(
            f"{self.path}: the counts of the stopped run are damaged ({reason}); start anew with --overwrite"
        )


def _counts(arrays: dict[str, NDArray[Any]], comparison: Comparison, tail: int) -> PairCounts:
    """Raises ValueError and KeyError for arrays that are not those of this comparison."""
    members, groups, pairs = len(comparison.members), len(comparison.groups), len(arrays["group_pairs"])
    thresholds = len(arrays["threshold_bins"])
    bins = numbers_of(arrays, "threshold_bins", (thresholds,), TOTAL_BINS)
    counts = PairCounts(comparison, bins, tail)
    counts.by_member = array_of(arrays, "by_member", "i", counts.by_member.shape)
    counts.compared = array_of(arrays, "compared", "i", (members, groups))
    of_pairs = array_of(arrays, "histograms", "i", (pairs, 2, TOTAL_BINS))
    for pair, histogram in zip(
        numbers_of(arrays, "group_pairs", (pairs, 2), groups).tolist(), of_pairs, strict=True
    ):
        counts.histograms[tuple(pair)] = histogram
    for name, end in (("highest", counts.highest), ("lowest", counts.lowest)):
        found = arrays[name]
        if found.dtype != PAIR or found.ndim != 1:
            raise ValueError(f"`{name}` is {found.dtype}, not {PAIR}")
        end.add(found)
    return counts
