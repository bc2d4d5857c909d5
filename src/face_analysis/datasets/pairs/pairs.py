"""Pairs of images, of one person or of two: by rows, by names, and drawn from a list of people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.lists.image_list import ImageList, codes_of
from face_analysis.datasets.lists.splits import subjects
from face_analysis.errors import EmptyDataError

FOLDS = 10
TRIES = 20


@dataclass(frozen=True)
class Pairs:
    """Which images make a pair: `first` and `second` int64 (P,), rows of the images.

    `same` bool (P,): whether both show one person. `fold` int64 (P,), from 0: the part of the protocol.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def among(self, usable: NDArray[np.bool_], origin: Path) -> Pairs:
        """The pairs of images that are both `usable` (N,), their rows counted among the usable ones.

        Raises EmptyDataError, which names the `origin`, when no pair is left.
        """
        rows = np.cumsum(usable) - 1
        kept = usable[self.first] & usable[self.second]
        if not kept.any():
            raise EmptyDataError(f"{origin}: no pair is left of which both images can be read")
        return Pairs(rows[self.first[kept]], rows[self.second[kept]], self.same[kept], self.fold[kept])


def folds(count: int) -> NDArray[np.int64]:
    """The fold of each of `count` pairs, int64 (count,): ten parts in their order, the first ones longer."""
    return np.sort(np.arange(count, dtype=np.int64) % FOLDS)


class ListedPair(NamedTuple):
    """The names of two images, whether they show one person, and the fold."""

    first: str
    second: str
    same: bool
    fold: int


def number_images(listed: list[ListedPair]) -> tuple[list[str], Pairs]:
    """The images, each once, in the order in which pairs name them, and the pairs as their rows."""
    rows: dict[str, int] = {}
    table = [
        (rows.setdefault(pair.first, len(rows)), rows.setdefault(pair.second, len(rows)), *pair[2:])
        for pair in listed
    ]
    first, second, same, fold = np.array(table, np.int64).reshape(-1, 4).T
    return list(rows), Pairs(first, second, same == 1, fold)


def draw_pairs(listed: ImageList, each: int, seed: int) -> list[ListedPair]:
    """In each of ten folds `each` pairs of one person and as many of two, or as many of both as there are.

    People are dealt to the folds, so that none is in two. Within a fold all pairs of a kind are as likely; no
    pair comes twice. The column `subject`, else `class`, says who is in an image; rows where it is
    unknown are left out. Raises UsageError for a list without one, EmptyDataError where a fold has no pair of
    a kind.
    """
    codes = codes_of(subjects(listed))
    generator = np.random.default_rng(seed)
    people = generator.permutation(np.unique(codes[codes >= 0]))
    pairs: list[ListedPair] = []
    for fold in range(FOLDS):
        rows = np.flatnonzero(np.isin(codes, people[fold::FOLDS]))
        same = _same(rows, codes, each, generator)
        different = _different(rows, codes, len(same), generator)
        if not len(same) or not len(different):
            raise EmptyDataError(
                f"{listed.path}: too few people with two images or more for ten folds of pairs"
            )
        for kind, table in ((True, same), (False, different)):
            pairs += [ListedPair(listed.images[a], listed.images[b], kind, fold) for a, b in table.tolist()]
    return pairs


def _same(
    rows: NDArray[np.int64], codes: NDArray[np.int64], each: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    ordered = rows[np.argsort(codes[rows], kind="stable")]
    groups = np.split(ordered, np.flatnonzero(np.diff(codes[ordered])) + 1)
    every = [np.stack(np.triu_indices(len(group), 1), axis=1) for group in groups]
    table = np.concatenate([group[pairs] for group, pairs in zip(groups, every, strict=True)])
    chosen: NDArray[np.int64] = table[np.sort(generator.permutation(len(table))[:each])]
    return chosen


def _different(
    rows: NDArray[np.int64], codes: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    drawn = np.sort(generator.choice(rows, (TRIES * count, 2)), axis=1)
    drawn = drawn[codes[drawn[:, 0]] != codes[drawn[:, 1]]]
    _, first = np.unique(drawn, axis=0, return_index=True)
    chosen: NDArray[np.int64] = drawn[np.sort(first)[:count]]
    return chosen
