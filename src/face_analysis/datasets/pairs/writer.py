"""Writes verification sets as the folders that `pairs.sets` opens."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from face_analysis.datasets.pairs.npy_header import npy_header
from face_analysis.datasets.pairs.pairs import Pairs
from face_analysis.datasets.pairs.sets import IMAGE_COLUMNS, IMAGES, PAIR_COLUMNS, PAIRS, PIXELS, SHAPE
from face_analysis.files import whole_file
from face_analysis.types import Image


def write_pair_set(
    folder: Path, names: Sequence[str], pairs: Pairs, images: Iterable[tuple[Image, bool] | None]
) -> None:
    """Write the set `folder`; `images` gives for each name pixels (112, 112, 3) and `found`, or None.

    None is an image that cannot be used: it and its pairs are left out. The files appear when all are whole.
    Raises EmptyDataError when no pair is left, and WriteError.
    """
    with (
        whole_file(folder / PAIRS) as paired,
        whole_file(folder / IMAGES) as listed,
        whole_file(folder / PIXELS) as pixels,
    ):
        with pixels.open("wb") as file:
            found = _write_images(file, images)
        usable = np.array([one is not None for one in found])
        kept = pairs.among(usable, folder)
        there = [(name, one) for name, one in zip(names, found, strict=True) if one is not None]
        _write_csv(listed, IMAGE_COLUMNS, ((row, name, int(one)) for row, (name, one) in enumerate(there)))
        columns = (kept.first, kept.second, kept.same.astype(int), kept.fold)
        _write_csv(paired, PAIR_COLUMNS, zip(*(column.tolist() for column in columns), strict=True))


def _write_images(file: BinaryIO, images: Iterable[tuple[Image, bool] | None]) -> list[bool | None]:
    """The `.npy` file, and `found` of each image, None where it is left out."""
    found: list[bool | None] = []
    file.write(npy_header("|u1", (0, *SHAPE)))
    for image in images:
        found.append(None if image is None else image[1])
        if image is not None:
            file.write(image[0].tobytes())
    file.seek(0)
    file.write(npy_header("|u1", (len(found) - found.count(None), *SHAPE)))
    return found


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
