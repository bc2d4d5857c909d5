"""Labels of copies that contradict each other, and lists without the copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from face_analysis.auditing.copies import CopyGroup
from face_analysis.datasets.attributes import UNKNOWN

Labels = Mapping[str, NDArray[np.int64]]
Value = TypeVar("Value", int, str)
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
    """Which rows (N,) are kept, with which labels and subjects.

    `reasons` says why other rows are left out, and `copy_of` which row is kept in place of a copy.
    """

    kept: NDArray[np.bool_]
    labels: dict[str, NDArray[np.int64]]
    subjects: list[str]
    reasons: dict[int, str]
    copy_of: dict[int, int]


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
    that image with its own labels, "drop" none, and "majority" it with each attribute's most frequent label
    and subject, or none where two are equally frequent.
    """
    new = Cleaning(
        np.ones(len(part), np.bool_),
        {name: values.copy() for name, values in labels.items()},
        list(subjects),
        dict(unreadable),
        {},
    )
    torn = {one.group for one in contradictions(groups, labels, subjects)}
    for number, group in enumerate(groups):
        rows = [copy.row for copy in group]
        last = min(rows, key=lambda row: (-part[row], row))
        if number in torn and not (rule == "first" or (rule == "majority" and _settle(new, rows, last))):
            new.reasons.update(dict.fromkeys(rows, "its copies have contradicting labels"))
        else:
            new.copy_of.update((row, last) for row in rows if row != last)
    new.kept[[*new.reasons, *new.copy_of]] = False
    return new


def _settle(new: Cleaning, rows: list[int], last: int) -> bool:
    """Give a row the most frequent labels of its copies; False, and nothing changed, where two are as
    frequent."""
    labels = {name: _most_frequent(values[rows].tolist(), UNKNOWN) for name, values in new.labels.items()}
    subject = _most_frequent([new.subjects[row] for row in rows], "")
    settled = {name: value for name, value in labels.items() if value is not None}
    if subject is None or settled.keys() != labels.keys():
        return False
    new.subjects[last] = subject
    for name, value in settled.items():
        new.labels[name][last] = value
    return True


def _most_frequent(values: Sequence[Value], unknown: Value) -> Value | None:
    """The most frequent known value; `unknown` where none is known, None where two are equally frequent."""
    counts = Counter(value for value in values if value != unknown).most_common(2)
    if not counts:
        return unknown
    return None if len(counts) == 2 and counts[0][1] == counts[1][1] else counts[0][0]
