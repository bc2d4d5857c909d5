"""What `match` and `search` compare: the rows of two feature sets, with numbers for what each row shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.errors import UsageError
from face_analysis.matching.features.feature_set import FeatureSet, usable_rows
from face_analysis.matching.labels import (
    check_same_naming,
    groups_of,
    original_label,
    pictures_of,
    subjects_of,
)
from face_analysis.types import ImageFailure

Numbers = NDArray[np.int64]
Records = NDArray[np.void]
"""An array whose elements have named fields, such as ROW."""
ROW = np.dtype([(name, np.int64) for name in ("number", "subject", "picture", "group", "member")])
"""A row: its number in the feature set, and the numbers of what it shows. Equal numbers mean the same on both
sides; `picture` is -1 for a picture that only one row shows."""
MEMBER = np.dtype([("subject", np.int64), ("group", np.int64)])
"""A subject as a member of a group: errors are counted by member, so they are known by both."""


@dataclass(frozen=True)
class Panel:
    """Rows held in memory: `features` float32 (R, D), `rows` (R,) of ROW."""

    features: Tensor
    rows: Records

    def part(self, start: int, stop: int | None = None) -> Panel:
        """The rows from `start` up to, not including, `stop`."""
        return Panel(self.features[start:stop], self.rows[start:stop])

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Side:
    """The probes, or the gallery: `rows` (N,) of ROW in the order of `features`, and the labels of the rows.

    Files of scores name the rows by their labels.
    """

    features: FeatureSet
    labels: Sequence[str]
    rows: Records

    def __len__(self) -> int:
        return len(self.rows)

    def panel(self, numbers: Numbers, device: torch.device) -> Panel:
        """Read the rows of these numbers."""
        return Panel(torch.from_numpy(self.features.read(numbers)).to(device), self.rows[numbers])


@dataclass(frozen=True)
class Comparison:
    """Probes with a gallery, or with each other (`gallery` is then the same Side, and each pair comes once).

    `subjects` and `groups` are the names behind the numbers. `members` (M,) of MEMBER are those of the
    probes, then those of a gallery. `failures` are rows of the feature sets that are no embeddings: they are
    left out, and rows are numbered without them.
    """

    probes: Side
    gallery: Side
    subjects: list[str]
    groups: list[str]
    members: Records
    failures: tuple[ImageFailure, ...] = ()

    @property
    def within(self) -> bool:
        """Whether probes are compared with each other."""
        return self.probes is self.gallery

    @property
    def pairs(self) -> int:
        """How many pairs of rows there are."""
        count = len(self.probes)
        return count * (count - 1) // 2 if self.within else count * len(self.gallery)

    @property
    def same_picture_pairs(self) -> int:
        """How many of the pairs are of one picture, and so are never compared."""
        most = max(int(side.rows["picture"].max()) for side in (self.probes, self.gallery))
        probes, gallery = (
            np.bincount(side.rows["picture"] + 1, minlength=most + 2)[1:]
            for side in (self.probes, self.gallery)
        )
        return int((probes * (probes - 1) // 2 if self.within else probes * gallery).sum())


def compare(
    probes: FeatureSet,
    gallery: FeatureSet | None = None,
    *,
    subject: str | None = None,
    subject_pattern: str | None = None,
    groups: Sequence[str] = (),
    original: bool = False,
) -> Comparison:
    """Number subjects, pictures and groups of both sides alike; `groups` are columns of the index.

    See `subjects_of` for the rules of subjects, `pictures_of` for what is one picture; with `original` it is
    the original system's `parent/stem`. Raises UsageError, EmptyDataError, and FeatureSetError for a set that
    is not one of embeddings.
    """
    given = [probes] if gallery is None else [probes, gallery]
    sets, failures = zip(*map(usable_rows, given), strict=True)
    if len({features.size for features in sets}) > 1:
        raise UsageError(
            f"{probes.name} has embeddings of {sets[0].size} numbers and {sets[1].name} of "
            f"{sets[1].size}: extract both with one model"
        )
    if gallery is not None and subject is subject_pattern is None:
        check_same_naming(*sets)
    if original:
        labels = pictures = [[original_label(path) for path in features.paths] for features in sets]
    else:
        labels, pictures = [features.paths for features in sets], pictures_of(sets)
    rows = [np.empty(len(features), ROW) for features in sets]
    for each in rows:
        each["number"] = np.arange(len(each))
    subjects = _number(rows, "subject", [subjects_of(each, subject, subject_pattern) for each in sets])
    names = _number(rows, "group", [groups_of(features, groups) for features in sets])
    _number(rows, "picture", pictures)
    _mark_lone_pictures(rows)
    members = _number_members(rows, len(names))
    sides = [Side(*parts) for parts in zip(sets, labels, rows, strict=True)]
    return Comparison(sides[0], sides[-1], subjects, names, members, tuple(chain.from_iterable(failures)))


def _number(rows: Sequence[Records], field: str, texts: Sequence[Sequence[str]]) -> list[str]:
    """Put the number of each row's text into a field; the texts of both sides, sorted, in their numbers."""
    names = sorted(set().union(*texts))
    numbers = {name: number for number, name in enumerate(names)}
    for side, side_texts in zip(rows, texts, strict=True):
        side[field] = [numbers[text] for text in side_texts]
    return names


def _mark_lone_pictures(rows: Sequence[Records]) -> None:
    times = np.bincount(np.concatenate([side["picture"] for side in rows]))
    for side in rows:
        side["picture"][times[side["picture"]] == 1] = -1


def _number_members(rows: Sequence[Records], groups: int) -> Records:
    members: list[Records] = []
    for side in rows:
        keys, number = np.unique(side["subject"] * groups + side["group"], return_inverse=True)
        side["member"] = number + sum(map(len, members))
        found = np.empty(len(keys), MEMBER)
        found["subject"], found["group"] = np.divmod(keys, groups)
        members.append(found)
    return np.concatenate(members)
