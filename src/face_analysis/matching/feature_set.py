"""A set of embeddings on disk: a memory-mapped array and an index of what each row is."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import FeatureSetError, MissingFileError

EMBEDDINGS, INDEX = "embeddings.npy", "index.csv"
ROW, PATH, SUBJECT, LABEL = "row", "path", "subject", "label"
BOX = ("x", "y", "width", "height")
SCORE = "score"


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


def open_feature_set(folder: Path) -> FeatureSet:
    """Open a set that `extract` wrote. Raises MissingFileError, and FeatureSetError that says why not."""
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
    return FeatureSet(
        folder, cast(NDArray[np.float32], embeddings), _read_index(folder / INDEX, len(embeddings))
    )


def _read_index(path: Path, count: int) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            rows = list(reader)
        except csv.Error as error:
            raise FeatureSetError(f"{path}:{reader.line_num}: broken CSV ({error})") from error
    if not {ROW, PATH} <= set(header):
        raise FeatureSetError(f"{path}: the first line lacks `{ROW}` or `{PATH}`; found {', '.join(header)}")
    if len(rows) != count:
        raise FeatureSetError(f"{path}: {len(rows)} rows for {count} embeddings; extract the set again")
    place = header.index(ROW)
    for number, row in enumerate(rows):
        if len(row) != len(header) or row[place] != str(number):
            raise FeatureSetError(f"{path}: row {number} is not where it should be; extract the set again")
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return {name: list(column) for name, column in zip(header, columns, strict=True) if name != ROW}
