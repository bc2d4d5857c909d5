"""Packed files of images, an LMDB or InsightFace's `.rec`: which file it is, and its images as a source."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.folders import search_folder
from face_analysis.datasets.lmdb.environment import is_lmdb
from face_analysis.datasets.lmdb.format import column_of
from face_analysis.datasets.record_files import is_records
from face_analysis.datasets.record_source import RecordSource
from face_analysis.errors import UsageError
from face_analysis.extras import require

log = logging.getLogger(__name__)
PACKED_SUFFIXES = (".rec", ".lmdb")


class LmdbSource:
    """The images of a packed file.

    `attribute` (race, gender, age or recognition) names the records' integer in a file of the original
    system, which does not say what it is; a file that says is not overruled.
    """

    def __init__(self, path: Path, attribute: str | None = None) -> None:
        require("pack", f"{path}: an LMDB")
        from face_analysis.datasets.lmdb.reader import LmdbReader

        self.reader = LmdbReader(path)
        self._attribute = attribute

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def labels(self) -> dict[str, NDArray[np.int64]]:
        """The file's label columns."""
        labels = self.reader.labels
        if self.reader.attribute is None and self._attribute is not None and len(labels) == 1:
            return {column_of(self._attribute): next(iter(labels.values()))}
        return labels

    @property
    def strings(self) -> dict[str, list[str]]:
        """None: packed files keep no text but names."""
        return {}

    @property
    def origin(self) -> Path:
        """The file's path."""
        return self.reader.path

    def name(self, index: int) -> str:
        """The image's name in the list it was packed from."""
        return self.reader.name(index)

    def read(self, index: int) -> bytes:
        """The encoded image; raises PackedFileError where the file is damaged."""
        return self.reader.record(index)[0]

    def read_mask(self, index: int) -> bytes | None:
        """The encoded mask of a record that has one."""
        return self.reader.record(index)[2]


def is_packed(path: Path) -> bool:
    """Whether a file is an LMDB or a `.rec` by its first bytes."""
    return path.is_file() and (is_lmdb(path) or is_records(path))


def open_packed(path: Path, attribute: str | None = None) -> LmdbSource | RecordSource:
    """Open a packed file; `attribute` names its label where the file does not. Raises as the two sources."""
    if path.suffix == ".rec" or is_records(path):
        return RecordSource(path, attribute)
    return LmdbSource(path, attribute)


def packed_in(folder: Path) -> Path | None:
    """The packed file directly in a folder that stands for it, or None where its pictures do.

    `train.rec`, as InsightFace hands it on, goes before pictures, which are counted on the log. An LMDB's
    `data.mdb` and a single other `.rec` or `.lmdb` count where the folder has no picture. Raises
    MissingFileError, and UsageError for several.
    """
    records = folder / "train.rec"
    if records.is_file():
        pictures = len(search_folder(folder).images)
        if pictures:
            log.warning("%s: train.rec is taken, and not the %d pictures beside it", folder, pictures)
        return records
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name.endswith((*PACKED_SUFFIXES, ".mdb")))
    packed = [folder / name for name in names if not name.startswith(".") and is_packed(folder / name)]
    if not packed or search_folder(folder).images:
        return None
    if len(packed) > 1:
        raise UsageError(f"{folder}: holds {', '.join(path.name for path in packed)}; name one of them")
    return packed[0]
