"""IJB-B and IJB-C, 1:1 (Whitelam et al. 2017, Maze et al. 2018), as InsightFace hands them on.

The faces are in `loose_crop/`. `meta/` has three lists, whose names begin with that of the set:
`ijbc_face_tid_mid.txt` and `ijbc_name_5pts_score.txt` tell row for row of the same images,
`ijbc_template_pair_label.txt` of pairs. A template is all that is shown of one person at once; a media is one
still or one video of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.pairs.ijb_lists import NAME, NUMBER, WHOLE, SpacedList
from face_analysis.datasets.pairs.stored_names import StoredNames
from face_analysis.errors import ListFormatError

CROPS, META = "loose_crop", "meta"
MEMBERS = "_face_tid_mid.txt"


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
