"""Labels of copies that contradict each other, and lists without the copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from face_analysis.audit.copies import CopyGroup
from face_analysis.datasets.attributes import UNKNOWN

Labels = Mapping[str, NDArray[np.int64]]
Rule = Literal["first", "drop", "majority"]
SUBJECT = "subject"


@dataclass(frozen=True)
class Contradiction:
    """Known labels of one group of copies that differ: each of its rows with its value, in their order."""

    group: int
    attribute: str
    values: tuple[tuple[int, str], ...]


def contradictions(
    groups: Sequence[CopyGroup], labels: Labels, subjects: Sequence[str]
) -> list[Contradiction]:
    """Where copies have different labels, by group and attribute; unknown ones (-1, "") do not count."""
    found = []
    for number, group in enumerate(groups):
        rows = [copy.row for copy in group]
        texts = {
            name: [(row, str(values[row])) for row in rows if values[row] >= 0]
            for name, values in labels.items()
        }
        texts[SUBJECT] = [(row, subjects[row]) for row in rows if subjects[row]]
        found += [
            Contradiction(number, name, tuple(values))
            for name, values in texts.items()
            if len({value for _, value in values}) > 1
        ]
    return found


@dataclass(frozen=True)
class Cleaning:
    """Which rows (N,) are kept, with which labels; `reasons` says why each other row is left out."""

    kept: NDArray[np.bool_]
    labels: dict[str, NDArray[np.int64]]
    reasons: dict[int, str]


def clean(
    groups: Sequence[CopyGroup],
    labels: Labels,
    subjects: Sequence[str],
    part: NDArray[np.integer],
    rule: Rule,
    unreadable: Mapping[int, str],
) -> Cleaning:
    """Leave out `unreadable` rows, and keep one image of each group of copies, by a rule for groups whose
    labels contradict.

    The image kept is the first of the last list (`part`, (N,)) that the group is in: test lists, named last,
    stay whole, and training lists lose what they share with them. For a contradicting group "first" keeps
    that image with its own labels, "drop" none, and "majority" it with each attribute's most frequent label,
    or none where two are equally frequent.
    """
    kept = np.ones(len(part), np.bool_)
    kept[list(unreadable)] = False
    changed = {name: values.copy() for name, values in labels.items()}
    reasons = dict(unreadable)
    torn = {one.group for one in contradictions(groups, labels, subjects)}
    for number, group in enumerate(groups):
        rows = np.array([copy.row for copy in group])
        last = int(rows[part[rows] == part[rows].max()][0])
        most = {name: _most_frequent(values[rows]) for name, values in labels.items()}
        lost = number in torn and (rule == "drop" or (rule == "majority" and None in most.values()))
        why = "its copies have contradicting labels" if lost else f"a copy of row {last} is kept"
        for row in rows.tolist():
            if lost or row != last:
                kept[row] = False
                reasons[row] = why
        if rule == "majority" and not lost:
            for name, value in most.items():
                changed[name][last] = UNKNOWN if value is None else value
    return Cleaning(kept, changed, reasons)


def _most_frequent(values: NDArray[np.int64]) -> int | None:
    """The most frequent known label; -1 where none is known, None where two are equally frequent."""
    counts = Counter(values[values >= 0].tolist()).most_common(2)
    if not counts:
        return UNKNOWN
    return None if len(counts) == 2 and counts[0][1] == counts[1][1] else int(counts[0][0])
