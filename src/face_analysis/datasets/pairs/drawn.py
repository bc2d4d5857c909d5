"""Pairs drawn from a list that says who is in each image, for people with no published protocol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.lists.image_list import ImageList, codes_of
from face_analysis.datasets.lists.splits import subjects
from face_analysis.datasets.pairs.pairs import FOLDS
from face_analysis.datasets.pairs.protocols import ListedPair
from face_analysis.errors import EmptyDataError

TRIES = 20


def draw_pairs(listed: ImageList, each: int, seed: int) -> list[ListedPair]:
    """In each of ten folds `each` pairs of one person and as many of two, or as many of both as there are.

    People are dealt to the folds, so that none is in two. Within a fold all pairs of a kind are as likely; no
    pair comes twice. People are told apart by the column `subject`, else `class`; rows where it is
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
