"""What is compared with what: rows as numbers, sorted by group so that two groups meet in a rectangle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.errors import UsageError
from face_analysis.matching.features.feature_set import FeatureSet, check_rows
from face_analysis.matching.groups import groups_of
from face_analysis.matching.subjects import picture, subjects_of

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

    `order` lists the rows by group, those of group g between `bounds[g]` and `bounds[g + 1]`.
    """

    features: FeatureSet
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
    compared with each other.
    """

    probes: Side
    gallery: Side
    subjects: list[str]
    groups: list[str]
    unit_subject: Numbers
    unit_group: Numbers

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
) -> Comparison:
    """Number subjects, pictures and groups of both sides alike; `groups` are columns of the index.

    See `subjects_of` for the rules of subjects. Raises UsageError, EmptyDataError, and FeatureSetError that
    names the images of rows that are no embeddings.
    """
    sides = [probes] if gallery is None else [probes, gallery]
    for features in sides:
        check_rows(features)
    if len({features.embeddings.shape[1] for features in sides}) > 1:
        raise UsageError(f"{probes.folder} and {sides[1].folder}: embeddings of different models")
    people, of_person = _numbers([subjects_of(features, subject, subject_pattern) for features in sides])
    names, of_group = _numbers([groups_of(features, groups) for features in sides])
    _, of_picture = _numbers([[picture(path) for path in features.paths] for features in sides])
    repeated = np.bincount(np.concatenate(of_picture)) > 1
    keys = [
        (side * len(people) + person) * len(names) + group
        for side, (person, group) in enumerate(zip(of_person, of_group, strict=True))
    ]
    units, unit = np.unique(np.concatenate(keys), return_inverse=True)
    made = [
        Side(
            features,
            person,
            own,
            np.where(repeated[image], image, -1),
            group,
            np.argsort(group, kind="stable"),
            np.searchsorted(np.sort(group), np.arange(len(names) + 1)),
        )
        for features, person, own, image, group in zip(
            sides, of_person, np.split(unit, [len(probes)]), of_picture, of_group, strict=False
        )
    ]
    return Comparison(made[0], made[-1], people, names, units // len(names) % len(people), units % len(names))


def _numbers(texts: Sequence[Sequence[str]]) -> tuple[list[str], list[Numbers]]:
    """The different texts of all sides, sorted, and each side's as numbers of that order."""
    names = sorted(set().union(*texts))
    number = {name: code for code, name in enumerate(names)}
    return names, [np.array([number[text] for text in side], np.int64) for side in texts]
