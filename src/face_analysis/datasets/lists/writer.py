"""Writes image lists."""

from __future__ import annotations

import csv
from itertools import chain
from pathlib import Path

from face_analysis.datasets.lists.image_list import ImageList
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
