"""Packs the images of a list or folder into one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute, known
from face_analysis.datasets.lists import ImageList
from face_analysis.datasets.lmdb_format import RECOGNITION, column_of
from face_analysis.datasets.lmdb_writer import LmdbWriter
from face_analysis.datasets.sources import FolderSource, ImageSource, list_folder
from face_analysis.errors import EmptyDataError, MissingFileError, UnreadableImageError, UsageError
from face_analysis.images.decode import decode
from face_analysis.types import ImageFailure


@dataclass(frozen=True)
class PackReport:
    """What became of the rows: `written`, `left_out` without a known label, `failures` that do not decode."""

    written: int
    left_out: int
    failures: list[ImageFailure]


def pack(source: ImageSource, destination: Path, attribute: str) -> PackReport:
    """Write the rows of a source where `attribute` (race, gender, age, recognition) is known to an LMDB.

    All label columns are kept; encoded images are copied as they are once they have been seen to decode.
    Raises UsageError for another attribute, EmptyDataError when no row or no image is left, and WriteError;
    the destination then stays as it was.
    """
    labels = source.labels
    rows = _rows(source, attribute)
    failures: list[ImageFailure] = []
    written = 0
    with LmdbWriter(destination, attribute, list(labels)) as writer:
        for row in tqdm(rows.tolist(), desc=f"pack {destination.name}", unit="image"):
            name = source.name(row)
            try:
                image, mask = source.read(row), source.read_mask(row)
                decode(image, name)
                if mask is not None:
                    decode(mask, f"mask of {name}")
            except UnreadableImageError as error:
                failures.append(ImageFailure(name, str(error)))
                continue
            writer.add(name, image, {column: int(values[row]) for column, values in labels.items()}, mask)
            written += 1
    return PackReport(written, len(source) - len(rows), failures)


def pack_folder(folder: Path, destination: Path) -> PackReport:
    """Write a folder with one subfolder a class, in sorted order from class 0, for recognition.

    Images directly in `folder` have no class and are left out. Raises MissingFileError, EmptyDataError and
    WriteError.
    """
    if not folder.is_dir():
        raise MissingFileError(folder, "image folder")
    images = list_folder(folder).images
    names = sorted({image.split("/", 1)[0] for image in images if "/" in image})
    code = {name: number for number, name in enumerate(names)}
    classes = [code[image.split("/", 1)[0]] if "/" in image else -1 for image in images]
    listed = ImageList(folder, images, {"class": np.array(classes, np.int64)})
    return pack(FolderSource(listed, folder), destination, RECOGNITION)


def _rows(source: ImageSource, attribute: str) -> NDArray[np.intp]:
    if attribute != RECOGNITION and attribute not in ATTRIBUTES:
        choices = ", ".join((*ATTRIBUTES, RECOGNITION))
        raise UsageError(f"cannot pack for `{attribute}`; choose one of {choices}")
    column = source.labels.get(column_of(attribute))
    if column is None:
        there = ", ".join(source.labels) or "none"
        raise EmptyDataError(
            f"{source.origin}: no column for {attribute} (label columns: {there}); use another list"
        )
    usable = column >= 0 if attribute == RECOGNITION else known(cast(Attribute, attribute), column)
    if not usable.any():
        raise EmptyDataError(
            f"{source.origin}: no row has a known {attribute}; check the labels and their ranges"
        )
    return np.flatnonzero(usable)
