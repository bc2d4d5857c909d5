"""Writes a feature set block by block, so that a killed run can be taken up again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.npy_files import npy_header
from face_analysis.errors import UsageError, WriteError
from face_analysis.files import open_hidden, write_csv
from face_analysis.json_files import write_json
from face_analysis.matching.features.feature_set import (
    EMBEDDINGS,
    INDEX,
    ROW,
    ROWS_AT_ONCE,
    SOURCE,
    SOURCE_KEY,
    FeatureSet,
    open_feature_set,
)
from face_analysis.outputs import claim_folder


class EmbeddingFile:
    """Rows appended to a hidden file beside `embeddings.npy`, which it becomes when it is whole.

    `rows` says how many rows of an earlier run are kept; what was written after them is cut off. An earlier
    run may have finished the file already, where nothing is left to append. The folder is made if absent.
    Raises WriteError, and UsageError where the rows of the earlier run are gone.
    """

    def __init__(self, folder: Path, rows: int, size: int) -> None:
        self.path = folder / EMBEDDINGS
        self.rows = rows
        self.size = size
        self._unfinished = folder / f".{EMBEDDINGS}.unfinished"
        self._file: BinaryIO | None = None
        kept = self._kept_bytes(rows)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if rows and not self._unfinished.exists() and _bytes_of(self.path) == kept:
                return
            if rows and _bytes_of(self._unfinished) < kept:
                raise UsageError(f"{folder}: embeddings of the run to resume are gone; give --overwrite")
            self._file = open_hidden(self._unfinished, "r+b" if rows else "wb")
            self._file.truncate(kept)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise WriteError(self.path, error) from error

    def add(self, embeddings: NDArray[np.float32]) -> None:
        """Append (N, size) rows, and hand them to the system."""
        assert self._file is not None
        try:
            self._file.write(np.ascontiguousarray(embeddings, "<f4").tobytes())
            self._file.flush()
        except OSError as error:
            raise WriteError(self.path, error) from error
        self.rows += len(embeddings)

    def discard(self) -> None:
        """Close and delete the hidden file."""
        if self._file is not None:
            self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def finish(self) -> None:
        """Write the header, sync, and give the file its name, unless an earlier run did."""
        if self._file is None:
            return
        try:
            self._file.seek(0)
            self._file.write(npy_header("<f4", (self.rows, self.size)))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._unfinished.replace(self.path)
        except OSError as error:
            raise WriteError(self.path, error) from error

    def _kept_bytes(self, rows: int) -> int:
        return len(npy_header("<f4", (rows, self.size))) + rows * self.size * 4


def write_feature_set(features: FeatureSet, folder: Path) -> FeatureSet:
    """Write a set into a new or empty folder, block by block, and open it there.

    Raises OutputError for a folder that is not empty or in use, and WriteError.
    """
    with claim_folder(folder, (features.folder,)):
        file = EmbeddingFile(folder, 0, features.size)
        for start in range(0, len(features), ROWS_AT_ONCE):
            file.add(features.read(np.arange(start, min(start + ROWS_AT_ONCE, len(features)))))
        file.finish()
        if features.source is not None:
            write_source(folder, Path(features.source))
        names = list(features.columns)
        rows = zip(*(features.columns[name] for name in names), strict=True)
        write_index(folder, names, (dict(zip(names, row, strict=True)) for row in rows))
    return open_feature_set(folder)


def _bytes_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def write_index(folder: Path, columns: list[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Write `index.csv` whole: the row's number, then these columns; None becomes an empty cell."""
    rows = ([row, *(record[name] for name in columns)] for row, record in enumerate(records))
    write_csv(folder / INDEX, [ROW, *columns], rows)


def write_source(folder: Path, source: Path) -> None:
    """Write `source.json`: the folder or packed file that the paths of the index are in.

    Two sets then can tell whether equal paths are one picture. Raises WriteError.
    """
    write_json(folder / SOURCE, {SOURCE_KEY: str(source.resolve())})
