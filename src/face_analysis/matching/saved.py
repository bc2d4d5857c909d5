"""The counts of an unfinished run, kept whole beside its output."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from face_analysis.errors import UsageError
from face_analysis.files import whole_file
from face_analysis.json_files import json_text
from face_analysis.matching.result import PairScores
from face_analysis.matching.tally import Slots, Tally

MOST_TIME = 0.02
"""Of a run's time that saving may take."""
NOT_BEFORE = 0.5
"""Seconds of a run that are not worth saving."""


class SavedTally:
    """A hidden file in the folder of the output, whose `identity` says what the run is of.

    With `resume` it is taken up, or refused with UsageError if it is of something else; without, it is
    replaced. Failed writes raise WriteError.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], *, resume: bool) -> None:
        self.path = folder / ".match.unfinished.npz"
        self._identity = json.loads(json_text(identity))
        self._resume = resume
        self._next = time.monotonic() + NOT_BEFORE

    def load(self) -> tuple[Tally, int] | None:
        """The counts so far and how many pairs of panels are in them; None where there is none to resume."""
        if not self._resume or not self.path.exists():
            return None
        with np.load(self.path, allow_pickle=False) as arrays:
            state = json.loads(str(arrays["state"]))
            differing = [key for key, value in self._identity.items() if state["identity"].get(key) != value]
            if differing:
                raise UsageError(
                    f"{self.path.parent}: the run to resume was begun with other {', '.join(differing)}; "
                    "give the same options, or start anew without --resume"
                )
            by_unit = arrays["by_unit"]
            units, groups = by_unit.shape[1:3]
            slots = Slots(*state["slots"])
            tally = Tally(units, groups, slots, self._identity["tail"], within=state["within"])
            tally.by_unit, tally.compared = by_unit, arrays["compared"]
            for probe, gallery in arrays["groups"].tolist():
                tally.histograms[probe, gallery] = arrays[f"histograms_{probe}_{gallery}"]
            for name, tail in (("highest", tally.highest), ("lowest", tally.lowest)):
                tail.add(PairScores(*(arrays[f"{name}_{part}"] for part in ("score", "probe", "gallery"))))
        return tally, state["done"]

    def save(self, tally: Tally, done: int) -> None:
        """Write the counts, but for times when that would slow the run down."""
        started = time.monotonic()
        if started < self._next:
            return
        state = {
            "identity": self._identity,
            "slots": [tally.slots.floor, tally.slots.width],
            "within": tally.within,
            "done": done,
        }
        arrays: dict[str, Any] = {
            "state": json_text(state),
            "groups": list(tally.histograms),
            "by_unit": tally.by_unit,
            "compared": tally.compared,
        }
        for (probe, gallery), counts in tally.histograms.items():
            arrays[f"histograms_{probe}_{gallery}"] = counts
        for name, tail in (("highest", tally.highest), ("lowest", tally.lowest)):
            arrays |= {f"{name}_{part}": value for part, value in vars(tail.pairs).items()}
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)
        self._next = time.monotonic() + (time.monotonic() - started) / MOST_TIME

    def remove(self) -> None:
        """Delete the file: the output is whole."""
        self.path.unlink(missing_ok=True)
