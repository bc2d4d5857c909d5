"""IJB-B and IJB-C, 1:1 (Whitelam et al. 2017, Maze et al. 2018), as InsightFace hands them on.

The faces are in `loose_crop/`. `meta/` has three lists, whose names begin with that of the set:
`ijbc_face_tid_mid.txt` and `ijbc_name_5pts_score.txt` tell row for row of the same images,
`ijbc_template_pair_label.txt` of pairs. A template is all that is shown of one person at once; a media is one
still or one video of it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.pairs.protocols import StoredNames
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError

CROPS, META = "loose_crop", "meta"
MEMBERS = "_face_tid_mid.txt"
WHOLE = r"[0-9]{1,9}"
NAME = "[!-~]+"
NUMBER = "[-+.0-9eE]{1,40}"


@dataclass(frozen=True)
class IjbSet:
    """N images of T templates, and P pairs of templates.

    `images` (N,) are names in the folder `crops`; `landmarks` float32 (N, 5, 2), x and y in pixels of each;
    `template` int32 (N,), the row in `templates` (T,), which holds the lists' numbers; `media` int32 (N,), as
    the list numbers them. `first` and `second` int32 (P,) are rows of `templates`; `same` bool (P,): whether
    both are of one person.
    """

    name: str
    crops: Path
    images: NDArray[np.str_]
    landmarks: NDArray[np.float32]
    template: NDArray[np.int32]
    media: NDArray[np.int32]
    templates: NDArray[np.int32]
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    same: NDArray[np.bool_]


def is_ijb(folder: Path) -> bool:
    """Whether a folder has the layout of IJB-B and IJB-C."""
    return (folder / META).is_dir() and (folder / CROPS).is_dir()


def open_ijb(folder: Path) -> IjbSet:
    """Read the lists of a folder; no image is opened. The name is what those of the lists begin with.

    An image that is there in another format, with another suffix, is found. Raises MissingFileError,
    ListFormatError with the line, EmptyDataError, and UsageError where an image is there in two formats.
    """
    meta = folder / META
    path = next(iter(sorted(meta.glob(f"*{MEMBERS}"))), meta / MEMBERS)
    name = path.name.removesuffix(MEMBERS)
    members = SpacedList(path, "image template media", f"{NAME} {WHOLE} {WHOLE}")
    images = members.columns(np.str_, 0)[:, 0]
    template, media = members.columns(np.int32, 1, 2).T
    landmarks = _landmarks(meta / f"{name}_name_5pts_score.txt", images)
    stored = StoredNames(folder / CROPS)
    images = np.array([stored.of(image) for image in images.tolist()])
    templates, rows = np.unique(template, return_inverse=True)
    pairs = _pairs(meta / f"{name}_template_pair_label.txt", templates)
    return IjbSet(
        name, folder / CROPS, images, landmarks, rows.astype(np.int32), media.copy(), templates, *pairs
    )


def _landmarks(path: Path, images: NDArray[np.str_]) -> NDArray[np.float32]:
    listed = SpacedList(path, "image x1 y1 ... x5 y5 score", f"{NAME}( {NUMBER}){{11}}")
    named = listed.columns(np.str_, 0)[:, 0]
    count = min(len(named), len(images))
    listed.require(
        named[:count] == images[:count], lambda row: f"expected {images[row]}, as in the list of templates"
    )
    if len(named) != len(images):
        raise ListFormatError(
            path, count, f"{len(named)} images, not {len(images)} as in the list of templates"
        )
    points = listed.columns(np.float32, *range(1, 11))
    listed.require(np.isfinite(points).all(axis=1), lambda _: "expected finite numbers as landmarks")
    return points.reshape(-1, 5, 2)


def _pairs(
    path: Path, templates: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    listed = SpacedList(path, "template template 0|1", f"{WHOLE} {WHOLE} [01]")
    first, second, label = listed.columns(np.int32, 0, 1, 2).T
    listed.require((label == 0) | (label == 1), lambda row: f"expected the label 0 or 1, found {label[row]}")

    def rows(numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        found = np.searchsorted(templates, numbers).astype(np.int32)
        known = templates[np.minimum(found, len(templates) - 1)] == numbers
        listed.require(known, lambda row: f"template {numbers[row]} has no image in the list of templates")
        return found

    return rows(first), rows(second), label == 1


@dataclass(frozen=True)
class SpacedList:
    """A list without a header, its columns apart by spaces; `form` tells people of them, `pattern` `re`."""

    path: Path
    form: str
    pattern: str

    def columns(self, kind: type, *wanted: int) -> NDArray[Any]:
        """Columns of one kind (rows, wanted), read without a Python object a line.

        Raises MissingFileError, EmptyDataError, and ListFormatError with the line.
        """
        if not self.path.is_file():
            raise MissingFileError(self.path, f"list `{self.form}`")
        try:
            with warnings.catch_warnings(action="ignore"):  # that a file is empty
                table: NDArray[Any] = np.loadtxt(
                    self.path, kind, comments=None, usecols=wanted, encoding="ascii", ndmin=2
                )
        except ValueError as error:
            raise self._first_bad_line(str(error)) from error
        if not len(table):
            raise EmptyDataError(f"{self.path}: the list `{self.form}` is empty; get it again")
        return table

    def require(self, holds: NDArray[np.bool_], reason: Callable[[int], str]) -> None:
        """Raise ListFormatError for the first row (from 0) where it does not hold, with its `reason`."""
        if holds.all():
            return
        row = int(np.argmin(holds))
        with self.path.open("rb") as file:
            lines = (number for number, line in enumerate(file, 1) if line.strip())
            raise ListFormatError(self.path, next(islice(lines, row, None)), reason(row))

    def _first_bad_line(self, otherwise: str) -> ListFormatError:
        pattern = re.compile(self.pattern.replace(" ", r"\s+").encode())
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and not pattern.fullmatch(line.strip()):
                    shown = line[:80].decode(errors="replace").strip()
                    return ListFormatError(self.path, number, f"expected `{self.form}`, found `{shown}`")
        return ListFormatError(self.path, 1, otherwise)
