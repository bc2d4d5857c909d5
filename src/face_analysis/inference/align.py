"""Keeps the aligned chips of a job in files that have the folder tree of its photos, and lists them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import cv2

from face_analysis.bulk import Record
from face_analysis.datasets.lists.image_list import CSV_LABELS
from face_analysis.datasets.sources import ImageSource
from face_analysis.files import whole_file, write_csv
from face_analysis.outputs import own_names, shortened
from face_analysis.types import Image, Photo

INDEX = "chips.csv"
ENCODED = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY],
    ".png": [],
    ".bmp": [],
}
"""Suffixes whose format chips are written in, and their setting of quality; a chip of another photo becomes
PNG, its name longer by .png."""


@dataclass(frozen=True)
class ChipSink:
    """Chips under `folder`, and `chips.csv` with the labels of their photos, which can be trained on.

    A photo's chip keeps its path; where a photo may have several chips they are `numbered`. `quality` is that
    of JPEG and WebP, 1 to 100.
    """

    folder: Path
    source: ImageSource
    quality: int
    numbered: bool

    @cached_property
    def _names(self) -> list[str]:
        return own_names(map(self.source.name, range(len(self.source))), tuple(ENCODED), ".png")

    @cached_property
    def _labels(self) -> list[str]:
        return [name for name in CSV_LABELS if name in self.source.labels]

    def open(self, photos: int, records: int) -> None:
        """Chips beyond the last block are written again under the same names."""

    def write(self, row: int, photo: Photo) -> Iterator[dict[str, Any]]:
        """Write the chips of a photo; the path and the labels of each."""
        labels = {name: int(self.source.labels[name][row]) for name in self._labels}
        for number, face in enumerate(photo.faces):
            assert face.chip is not None
            name = _numbered(self._names[row], number) if self.numbered else self._names[row]
            _write_chip(self.folder / name, face.chip, self.quality)
            yield {"path": name, **labels}

    def commit(self) -> None:
        """Every chip is whole already."""

    def publish(self, records: Iterable[Record]) -> None:
        """Write the list of the chips."""
        header = ("path", *self._labels)
        write_csv(self.folder / INDEX, header, ([one[name] for name in header] for one in records))

    def discard(self) -> None:
        """Chips need no answer of a model: this is never called for a job that only aligns."""


def _numbered(name: str, number: int) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(shortened(f"{path.stem}_{number}{path.suffix}")))


def _write_chip(path: Path, chip: Image, quality: int) -> None:
    settings = [number for key in ENCODED[path.suffix.lower()] for number in (key, quality)]
    encoded = cv2.imencode(path.suffix, cv2.cvtColor(chip, cv2.COLOR_RGB2BGR), settings)[1]
    with whole_file(path) as partial:
        partial.write_bytes(encoded.tobytes())
