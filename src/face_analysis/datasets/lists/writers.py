"""Writes image lists, as CSV or as the original system's text."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from face_analysis.datasets.attributes import ATTRIBUTES, UNKNOWN
from face_analysis.datasets.lists.image_list import ImageList, read_image_list
from face_analysis.errors import FaceAnalysisError, UsageError
from face_analysis.files import whole_file


def write_image_list(path: Path, listed: ImageList) -> None:
    """Write a CSV list with its header, as `read_image_list` reads it. Raises WriteError."""
    columns = [
        listed.images,
        *(column.tolist() for column in listed.labels.values()),
        *listed.strings.values(),
    ]
    # A carriage return needs quotes, which csv.writer before Python 3.13 does not give it.
    quoted = any("\r" in text for text in chain(listed.images, *listed.strings.values()))
    with (
        whole_file(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
        writer.writerow(["path", *listed.labels, *listed.strings])
        writer.writerows(zip(*columns, strict=True))


def write_text_list(path: Path, listed: ImageList) -> None:
    """Write `path race gender age`, `path class` or `path` a line, as `read_image_list` reads it.

    Race, gender or age alone come with the others as unknown. Raises UsageError for a list that such lines
    do not hold: with other columns, or with paths that would be read as something else; and WriteError.
    """
    columns = _columns(listed)
    rows = zip(listed.images, *(column.tolist() for column in columns.values()), strict=True)
    with whole_file(path) as partial:
        text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        partial.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        if not _same(partial, listed.images, columns):
            raise UsageError(
                f"{path}: a path of this list would not be read back from text; write CSV instead"
            )


def _columns(listed: ImageList) -> dict[str, np.ndarray]:
    names = set(listed.labels)
    if listed.strings or not (names <= set(ATTRIBUTES) or names == {"class"}):
        there = ", ".join((*listed.labels, *listed.strings))
        raise UsageError(
            f"{listed.path}: text holds race, gender and age, or a class, and not {there}; write CSV instead"
        )
    if not names or "class" in names:
        return dict(listed.labels)
    unknown = np.full(len(listed), UNKNOWN)
    return {name: listed.labels.get(name, unknown) for name in ATTRIBUTES}


def _same(path: Path, images: Sequence[str], columns: dict[str, np.ndarray]) -> bool:
    try:
        read = read_image_list(path)
    except FaceAnalysisError:
        return False
    labels = read.labels.keys() == columns.keys()
    return (
        labels
        and read.images == images
        and all(np.array_equal(read.labels[name], column) for name, column in columns.items())
    )
