"""Splits an image list so that what belongs together stays together, and labels are shared out evenly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute, group_index
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.lists.text_files import read_table
from face_analysis.errors import ListFormatError, UsageError

SplitBy = Literal["image", "subject", "group"]


def split_list(
    listed: ImageList,
    fractions: Sequence[float],
    by: SplitBy = "image",
    groups: Mapping[str, str] | None = None,
    stratify: Sequence[Attribute] = (),
    seed: int = 0,
) -> list[ImageList]:
    """Split a list into a part a fraction, each in the order of the list and with its columns.

    Guaranteed: every row is in exactly one part. Rows of one path are in the same part; by subject also those
    of one subject (column `subject`, else `class`; without one a row counts alone), and with `groups`, from
    path to group, those of one group; as both join rows, whole chains stay together. No part is larger than
    its fraction by as much as the largest such unit. The same list, options and seed give the same parts.
    Within that, the labels `stratify` (by default those of the list), in the groups of GROUP_NAMES and
    unknown, are shared out as evenly as one pass over the units can, one by one and combined.

    `fractions` are positive and sum to 1. Raises UsageError for others, for a column that the list lacks, and
    where a part would be empty.
    """
    if not (min(fractions) > 0 and abs(sum(fractions) - 1) < 1e-6):
        raise UsageError(f"shares {' '.join(map(str, fractions))}: give positive ones that add up to 1")
    part = assign(_units(listed, by, groups), _strata(listed, stratify), fractions, seed)
    empty = set(range(len(fractions))) - set(part.tolist())
    if empty:
        number = min(empty) + 1
        raise UsageError(f"{listed.path}: too few images, people or groups to give part {number} any")
    return [_rows(listed, np.flatnonzero(part == number)) for number in range(len(fractions))]


def assign(
    units: NDArray[np.int64], strata: NDArray[np.int64], fractions: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """The part (N,) of each row, equal for equal `units` (N,); `strata` (N, S) codes from 0.

    From the largest unit to the smallest, equal ones in an order drawn by the seed, each goes to a part that
    is not full yet: to the one where it raises least the sum, over all codes and one that every row has, of
    (images - fraction * images)^2 / fraction. After the iterative stratification of Sechidis et al. 2011
    (doi 10.1007/978-3-642-23808-6_10).
    """
    fraction = np.array(fractions) / sum(fractions)
    _, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    strata = np.column_stack([np.zeros(len(units), np.int64), strata])  # code 0 is that of every row
    ends = np.cumsum([0, *(strata.max(axis=0) + 1)])
    strata, width = strata + ends[:-1], int(ends[-1])
    excess = -fraction[:, None] * np.bincount(strata.ravel(), minlength=width)
    pairs, counts = np.unique(unit[:, None] * width + strata, return_counts=True)
    starts = np.searchsorted(pairs, np.arange(len(sizes) + 1) * width)
    part = np.empty(len(sizes), np.int64)
    for number in np.lexsort((np.random.default_rng(seed).random(len(sizes)), -sizes)):
        own = slice(starts[number], starts[number + 1])
        codes, count = pairs[own] - number * width, counts[own]
        rise = ((2 * excess[:, codes] + count) * count).sum(axis=1) / fraction
        rise[excess[:, 0] > -1e-6] = np.inf
        part[number] = rise.argmin()
        excess[part[number], codes] += count
    return part[unit]


def _units(listed: ImageList, by: SplitBy, groups: Mapping[str, str] | None) -> NDArray[np.int64]:
    if (by == "group" and groups is None) or (by == "image" and groups is not None):
        raise UsageError("to split by group give --by group and --groups FILE, or --by subject with both")
    labellings = [_numbered(listed.images)]
    if by == "subject":
        labellings.append(_numbered(subjects(listed)))
    if groups is not None:
        labellings.append(_numbered([groups.get(path, "") for path in listed.images]))
    return _joined(labellings)


def subjects(listed: ImageList) -> Sequence[str]:
    """Who is in each row, "" unknown: the column `subject`, else `class`. Raises UsageError without them."""
    if "subject" in listed.strings:
        return listed.strings["subject"]
    if "class" in listed.labels:
        return ["" if code < 0 else str(code) for code in listed.labels["class"].tolist()]
    raise UsageError(f"{listed.path}: to tell people apart the list needs a column `subject` or `class`")


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """A number for each distinct name, and one of its own for each row without a name."""
    numbers: dict[str | int, int] = {}
    return np.array(
        [numbers.setdefault(name or row, len(numbers)) for row, name in enumerate(names)], np.int64
    )


def _joined(labellings: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The first row (N,) that each row is tied to by equal numbers in any labelling, over any chain."""
    unit = np.arange(len(labellings[0]))
    while True:
        before = unit
        for numbers in labellings:
            first = np.full(numbers.max() + 1, len(unit))
            np.minimum.at(first, numbers, unit)
            unit = first[numbers]
        if np.array_equal(unit, before):
            return unit


def _strata(listed: ImageList, stratify: Sequence[Attribute]) -> NDArray[np.int64]:
    absent = [name for name in stratify if name not in listed.labels]
    if absent:
        raise UsageError(f"{listed.path}: no column {absent[0]} to stratify by")
    names = stratify or [name for name in ATTRIBUTES if name in listed.labels]
    columns = [group_index(name, listed.labels[name]) + 1 for name in names]
    if not columns:
        return np.empty((len(listed), 0), np.int64)
    combined = np.unique(np.stack(columns), axis=1, return_inverse=True)[1].ravel()
    return np.stack([*columns, combined], axis=1)


def _rows(listed: ImageList, rows: NDArray[np.int64]) -> ImageList:
    return ImageList(
        listed.path,
        [listed.images[row] for row in rows],
        {name: column[rows] for name, column in listed.labels.items()},
        {name: [texts[row] for row in rows] for name, texts in listed.strings.items()},
    )


def read_groups(path: Path) -> dict[str, str]:
    """From image path to group, of a CSV with a header and the columns `path` and `group` among others.

    Raises MissingFileError, EmptyDataError, and ListFormatError with the line; it is also wrong for an image
    to be in two groups.
    """
    groups: dict[str, str] = {}
    for line, (image, group) in read_table(path, "list of groups", ("path", "group")):
        if not image or not group:
            raise ListFormatError(path, line, "path or group is missing; fill it in")
        if groups.setdefault(image, group) != group:
            raise ListFormatError(path, line, f"{image} is in two groups; make them one")
    return groups
