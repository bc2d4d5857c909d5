"""What lists share that should be apart: pictures, people, and faces that look like one person's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from face_analysis.auditing.copies import CopyGroup
from face_analysis.auditing.similarity import near_across

LOOKALIKE = 0.6
"""Cosine of SFace's embeddings from which two faces are suspected to be one person. On LFW the best threshold
is 0.30; lists are compared in many millions of pairs, of which at that one many would be false."""


@dataclass(frozen=True)
class Leak:
    """Rows of two or more lists that show one picture or one person, surely or (lookalike) it seems.

    `what` names it: the group of copies, the subject, or the similarity of two faces.
    """

    kind: Literal["picture", "subject", "lookalike"]
    what: str
    rows: tuple[int, ...]


def shared_pictures(groups: Sequence[CopyGroup], part: NDArray[np.integer]) -> list[Leak]:
    """Groups of copies that are in more than one list; `part` (N,) is the list of each row."""
    found = []
    for number, group in enumerate(groups):
        rows = tuple(copy.row for copy in group)
        if len(set(part[list(rows)].tolist())) > 1:
            found.append(Leak("picture", str(number), rows))
    return found


def shared_subjects(subjects: Sequence[str], part: NDArray[np.integer]) -> list[Leak]:
    """Subjects (N texts, "" unknown) that are in more than one list."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, subject in enumerate(subjects):
        if subject:
            rows[subject].append(row)
    return [
        Leak("subject", subject, tuple(places))
        for subject, places in rows.items()
        if len(set(part[places].tolist())) > 1
    ]


def lookalikes(
    embeddings: NDArray[np.float32],
    part: NDArray[np.integer],
    known: Sequence[Leak] = (),
    least: float = LOOKALIKE,
) -> list[Leak]:
    """Each face's best match in another list, if the cosine of their embeddings is at least `least`.

    `embeddings` (N, D) are of length 1, or 0 where there is no face. Pairs that are one of the `known` leaks
    already are left out.
    """
    leaks_of: dict[int, set[int]] = defaultdict(set)
    for number, leak in enumerate(known):
        for row in leak.rows:
            leaks_of[row].add(number)
    best: dict[int, tuple[float, int, int]] = {}
    for near in near_across(embeddings, part, least):
        pairs = (near.first.tolist(), near.second.tolist(), near.similarity.tolist())
        for first, second, similarity in zip(*pairs, strict=True):
            for row in () if leaks_of[first] & leaks_of[second] else (first, second):
                best[row] = max(best.get(row, (0.0, 0, 0)), (similarity, first, second))
    found = sorted(set(best.values()), reverse=True)
    return [Leak("lookalike", f"{similarity:.3f}", (first, second)) for similarity, first, second in found]
