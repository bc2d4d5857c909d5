"""What is compared with what: rows as numbers, sorted by group so that two groups meet in a rectangle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.errors import UsageError
from face_analysis.matching.features.feature_set import FeatureSet
from face_analysis.matching.features.usable import usable_rows
from face_analysis.matching.groups import groups_of
from face_analysis.matching.pictures import original_label, pictures_of
from face_analysis.matching.subjects import check_alike, subjects_of
from face_analysis.types import ImageFailure

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Panel:
    """Rows of one group, held in memory: features float32 (R, D), and int64 (R,) each for what they are.

    `unit` numbers the pairs of subject and group; `picture` is -1 for a row whose picture occurs once.
    """

    features: Tensor
    row: Numbers
    subject: Numbers
    unit: Numbers
    picture: Numbers
    group: int

    def part(self, start: int, stop: int | None = None) -> Panel:
        """The rows from `start` up to, not including, `stop`."""
        cut = slice(start, stop)
        return Panel(
            self.features[cut],
            self.row[cut],
            self.subject[cut],
            self.unit[cut],
            self.picture[cut],
            self.group,
        )

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True)
class Side:
    """The probes, or the gallery; the arrays are int64 (N,) as in Panel, in the order of the feature set.

    `labels` are what score files call the rows. `order` lists the rows by group, those of group g between
    `bounds[g]` and `bounds[g + 1]`.
    """

    features: FeatureSet
    labels: Sequence[str]
    subject: Numbers
    unit: Numbers
    picture: Numbers
    group: Numbers
    order: Numbers
    bounds: Numbers

    def __len__(self) -> int:
        return len(self.order)

    def panel(self, rows: Numbers, device: torch.device) -> Panel:
        """Read these rows; to be counted they must be of one group, that of the first."""
        features = torch.from_numpy(self.features.read(rows)).to(device)
        subject, unit, picture = self.subject[rows], self.unit[rows], self.picture[rows]
        return Panel(features, rows, subject, unit, picture, int(self.group[rows[0]]))


@dataclass(frozen=True)
class Comparison:
    """Probes with a gallery, or with each other (`gallery` is then the same Side, and each pair comes once).

    `unit_subject` and `unit_group` (U,) say what a unit is. Units of the gallery are its own, but for probes
    compared with each other. `failures` are rows of the feature sets that are no embeddings: they are left
    out, and rows are counted without them.
    """

    probes: Side
    gallery: Side
    subjects: list[str]
    groups: list[str]
    unit_subject: Numbers
    unit_group: Numbers
    failures: tuple[ImageFailure, ...] = ()

    @property
    def within(self) -> bool:
        """Whether probes are compared with each other."""
        return self.probes is self.gallery

    @property
    def pairs(self) -> int:
        """How many pairs there are to look at."""
        count = len(self.probes)
        return count * (count - 1) // 2 if self.within else count * len(self.gallery)


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
    sides, failures = zip(*map(usable_rows, given), strict=True)
    if len({features.size for features in sides}) > 1:
        raise UsageError(
            f"{probes.folder} has embeddings of {sides[0].size} numbers and {sides[1].folder} of "
            f"{sides[1].size}: extract both with one model"
        )
    if original:
        labels = pictures = [[original_label(path) for path in features.paths] for features in sides]
    else:
        labels, pictures = [features.paths for features in sides], pictures_of(sides)
    if gallery is not None and subject is subject_pattern is None:
        check_alike(*sides)
    people, of_person = _numbers([subjects_of(features, subject, subject_pattern) for features in sides])
    names, of_group = _numbers([groups_of(features, groups) for features in sides])
    _, of_picture = _numbers(pictures)
    repeated = np.bincount(np.concatenate(of_picture)) > 1
    keys = [
        (side * len(people) + person) * len(names) + group
        for side, (person, group) in enumerate(zip(of_person, of_group, strict=True))
    ]
    units, unit = np.unique(np.concatenate(keys), return_inverse=True)
    made = [
        Side(
            features,
            label,
            person,
            own,
            np.where(repeated[image], image, -1),
            group,
            np.argsort(group, kind="stable"),
            np.searchsorted(np.sort(group), np.arange(len(names) + 1)),
        )
        for features, label, person, own, image, group in zip(
            sides, labels, of_person, np.split(unit, [len(sides[0])]), of_picture, of_group, strict=False
        )
    ]
    unit_subject, unit_group = units // len(names) % len(people), units % len(names)
    return Comparison(
        made[0], made[-1], people, names, unit_subject, unit_group, tuple(chain.from_iterable(failures))
    )


def _numbers(texts: Sequence[Sequence[str]]) -> tuple[list[str], list[Numbers]]:
    """The different texts of all sides, sorted, and each side's as numbers of that order."""
    names = sorted(set().union(*texts))
    number = {name: code for code, name in enumerate(names)}
    return names, [np.array([number[text] for text in side], np.int64) for side in texts]
