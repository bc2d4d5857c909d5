"""A set of embeddings on disk: a memory-mapped array and an index of what each row is."""

from __future__ import annotations

import csv
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError, FeatureSetError, MissingFileError

EMBEDDINGS, INDEX = "embeddings.npy", "index.csv"
ROW, PATH, SUBJECT, LABEL = "row", "path", "subject", "label"
BOX = ("x", "y", "width", "height")
SCORE = "score"
LENGTH_TOLERANCE = 1e-5
ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class FeatureSet:
    """Embeddings float32 (N, D), memory-mapped, and the columns of the index, each of N strings.

    Every index has `path`; `subject` (who it is), `label` (a class code), the face's box and score in its
    photo, and groups such as race are there as far as known, and empty strings where not.
    """

    folder: Path
    embeddings: NDArray[np.float32]
    columns: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def paths(self) -> list[str]:
        """The image of each row."""
        return self.columns[PATH]

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """These rows as an array of their own, (R, D).

        They are read from the file, as pages of the mapped array would stay in the process's memory.
        """
        size = self.embeddings.shape[1]
        found = np.empty((len(rows), size), np.float32)
        ends = [*np.flatnonzero(np.diff(rows) != 1) + 1, len(rows)] if len(rows) else []
        with (self.folder / EMBEDDINGS).open("rb") as file:
            start = 0
            for end in ends:
                file.seek(cast(np.memmap, self.embeddings).offset + int(rows[start]) * size * 4)
                file.readinto(found[start:end].data)
                start = end
        return found


def open_feature_set(folder: Path, columns: Collection[str] | None = None) -> FeatureSet:
    """Open a set that `extract` wrote; of the index all columns are kept, or these and `path`.

    Raises MissingFileError, and FeatureSetError that says why not.
    """
    for name in (EMBEDDINGS, INDEX):
        if not (folder / name).is_file():
            raise MissingFileError(folder / name, "feature set")
    try:
        embeddings = np.load(folder / EMBEDDINGS, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FeatureSetError(
            f"{folder / EMBEDDINGS}: not a whole array ({error}); extract it again"
        ) from error
    if embeddings.ndim != 2 or embeddings.dtype != np.float32:
        raise FeatureSetError(
            f"{folder / EMBEDDINGS}: expected float32 (N, D), found {embeddings.dtype} {embeddings.shape}"
        )
    if not embeddings.flags.c_contiguous:
        raise FeatureSetError(f"{folder / EMBEDDINGS}: stored by columns; save np.ascontiguousarray of it")
    index = _read_index(folder / INDEX, len(embeddings), columns)
    return FeatureSet(folder, cast(NDArray[np.float32], embeddings), index)


def check_rows(features: FeatureSet) -> None:
    """Raise FeatureSetError for rows that are not finite or not of length 1, EmptyDataError for none."""
    if not len(features):
        raise EmptyDataError(f"{features.folder}: the feature set is empty; extract it from more images")
    wrong: list[str] = []
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(features)))
        vectors = features.read(rows)
        length = np.sqrt(np.vecdot(vectors, vectors))
        wrong += [features.paths[row] for row in rows[~(np.abs(length - 1) <= LENGTH_TOLERANCE)]]
    if wrong:
        raise FeatureSetError(
            f"{features.folder}: {len(wrong)} rows are not finite numbers of length 1 (such as "
            f"{', '.join(wrong[:5])}); extract the set again"
        )


def _read_index(path: Path, count: int, wanted: Collection[str] | None) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            if not {ROW, PATH} <= set(header):
                found = ", ".join(header)
                raise FeatureSetError(f"{path}: the first line lacks `{ROW}` or `{PATH}`; found {found}")
            kept = {name for name in header if wanted is None or name in {PATH, *wanted}} - {ROW}
            columns: dict[str, list[str]] = {name: [] for name in header if name in kept}
            place, rows = header.index(ROW), 0
            for row in reader:
                if len(row) != len(header) or row[place] != str(rows):
                    raise FeatureSetError(
                        f"{path}: row {rows} is not where it should be; extract the set again"
                    )
                for name, value in zip(header, row, strict=True):
                    if name in kept:  # names of people and groups come again and again: keep each once
                        columns[name].append(value if name == PATH else sys.intern(value))
                rows += 1
        except csv.Error as error:
            raise FeatureSetError(f"{path}:{reader.line_num}: broken CSV ({error})") from error
    if rows != count:
        raise FeatureSetError(f"{path}: {rows} rows for {count} embeddings; extract the set again")
    return columns
