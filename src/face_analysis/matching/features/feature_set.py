"""A set of embeddings, on disk or in memory: an array, and an index of what each row is."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import (
    EmptyDataError,
    FeatureSetError,
    MissingFileError,
    MissingPackageError,
    UsageError,
)
from face_analysis.frames import data_frame
from face_analysis.types import ImageFailure

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EMBEDDINGS, INDEX, SOURCE = "embeddings.npy", "index.csv", "source.json"
ROW, PATH, SUBJECT, LABEL = "row", "path", "subject", "label"
BOX = ("x", "y", "width", "height")
SCORE = "score"
SOURCE_KEY = "source"
ROWS_AT_ONCE = 8192
LENGTH_TOLERANCE = 1e-5
SHORTEST = 1e-6
"""An embedding shorter than this has no direction."""
SHORTEST_VECTOR = 1e-12
"""The same of a vector that is still to be brought to length 1."""
NOT_FINITE, ALL_ZERO = "the embedding is not finite (NaN or infinite)", "the embedding is all zeros"


@dataclass(frozen=True)
class FeatureSet:
    """Embeddings, and the columns of their index, each with N strings.

    Every index has `path`. It may have `subject` (the person), `label` (a class code), the box and score of
    the face, and groups such as `race`. An unknown value is an empty string. `embeddings` is float32 (M, D):
    the memory-mapped file of `folder`, or an array if `folder` is None. `rows`, int64 (N,), are the rows of
    `embeddings` that belong to the set. `source` is the absolute path of the folder or packed file that
    contains the paths, or None if it is not known.
    """

    folder: Path | None
    embeddings: NDArray[np.float32]
    columns: dict[str, list[str]]
    rows: NDArray[np.int64]
    source: str | None = None

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> FeatureSet:
        """The set in a folder that `extract` or `save` wrote. Raises MissingFileError and FeatureSetError."""
        return open_feature_set(Path(folder))

    @classmethod
    def from_arrays(
        cls,
        embeddings: NDArray[np.floating],
        paths: Sequence[str] | None = None,
        subjects: Sequence[object] | None = None,
        **columns: Sequence[object],
    ) -> FeatureSet:
        """A set in memory.

        Args:
            embeddings: floats (N, D). Each row is scaled to length 1. A row of zeros or a row that is not
                finite is kept as it is; `match` and `search` leave it out and report it.
            paths: the picture of each row. Rows with the same path are never compared. The default is the
                number of the row.
            subjects: the person of each row, as text or number.
            columns: more columns, such as `race`, `gender` and `age` (codes or names) or your own groups.
                None and NaN are unknown.

        Raises:
            UsageError: if the array has another shape, or a column another length.

        Examples:
            >>> import numpy as np
            >>> from face_analysis import FeatureSet
            >>> faces = FeatureSet.from_arrays(np.eye(3), subjects=["anna", "anna", "ben"])
            >>> len(faces), faces.size, faces.columns["subject"]
            (3, 3, ['anna', 'anna', 'ben'])
        """
        given = np.asarray(embeddings)
        if given.ndim != 2 or given.dtype.kind != "f":
            raise UsageError(f"embeddings must be floats (N, D), not {given.dtype} {given.shape}")
        named: dict[str, Sequence[object]] = {PATH: range(len(given)) if paths is None else paths}
        if subjects is not None:
            named[SUBJECT] = subjects
        texts = {name: [_text(value) for value in values] for name, values in {**named, **columns}.items()}
        for name, values in texts.items():
            if len(values) != len(given):
                raise UsageError(f"column {name} has {len(values)} values for {len(given)} embeddings")
        return cls(None, unit_rows(given), texts, np.arange(len(given)))

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame, embeddings: NDArray[np.floating]) -> FeatureSet:
        """A set in memory of a DataFrame whose columns are those of the index; as `from_arrays`."""
        columns: dict[str, Any] = {str(name): frame[name].tolist() for name in frame.columns}
        paths, subjects = columns.pop(PATH, None), columns.pop(SUBJECT, None)
        return cls.from_arrays(embeddings, paths, subjects, **columns)

    def save(self, folder: str | os.PathLike[str]) -> FeatureSet:
        """Write the set into a folder, as `extract` writes one, and open it there.

        Raises OutputError for a folder that holds a set or is in use, and WriteError.
        """
        from face_analysis.matching.features.writer import write_feature_set

        return write_feature_set(self, Path(folder))

    def to_pandas(self) -> pd.DataFrame:
        """The columns of the index as a DataFrame, in the order of the rows; box and score are numbers.

        Raises MissingPackageError.
        """
        columns: dict[str, Sequence[object]] = {
            name: [float(value or "nan") for value in values] if name in (*BOX, SCORE) else values
            for name, values in self.columns.items()
        }
        return data_frame("FeatureSet.to_pandas", columns)

    def to_arrow(self) -> pa.Table:
        """The columns of the index, and `embedding`, a list of D float32. Raises MissingPackageError."""
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingPackageError("FeatureSet.to_arrow", "pyarrow", "parquet") from None
        values = pa.array(self.read(np.arange(len(self))).ravel())
        return pa.table({**self.columns, "embedding": pa.FixedSizeListArray.from_arrays(values, self.size)})

    @property
    def name(self) -> str:
        """The name of the set in messages: its folder, or a text if it is in memory."""
        return "the feature set in memory" if self.folder is None else str(self.folder)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<FeatureSet of {len(self)} embeddings of {self.size} numbers: {', '.join(self.columns)}>"

    @property
    def size(self) -> int:
        """The number of values of an embedding, D."""
        return int(self.embeddings.shape[1])

    @property
    def paths(self) -> list[str]:
        """The path of the image of each row."""
        return self.columns[PATH]

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings of these rows (R,), 0 to N - 1, as a new array (R, D).

        Rows on disk are read from the file, because pages of the mapped array would stay in memory.
        """
        size, rows = self.size, self.rows[rows]
        if self.folder is None:
            return self.embeddings[rows]
        found = np.empty((len(rows), size), np.float32)
        ends = [*np.flatnonzero(np.diff(rows) != 1) + 1, len(rows)] if len(rows) else []
        with (self.folder / EMBEDDINGS).open("rb") as file:
            start = 0
            for end in ends:
                file.seek(cast(np.memmap, self.embeddings).offset + int(rows[start]) * size * 4)
                file.readinto(found[start:end].data)
                start = end
        return found

    def with_columns(self, columns: Mapping[str, list[str]]) -> FeatureSet:
        """The set with these columns of N strings. They replace columns of the same name."""
        return replace(self, columns={**self.columns, **columns})

    def without(self, rows: Collection[int]) -> FeatureSet:
        """The set without these rows, 0 to N - 1."""
        return self.only(np.setdiff1d(np.arange(len(self)), np.fromiter(rows, np.int64, len(rows))))

    def only(self, rows: NDArray[np.int64]) -> FeatureSet:
        """The set with these rows alone, 0 to N - 1, in this order."""
        columns = {name: [values[row] for row in rows.tolist()] for name, values in self.columns.items()}
        return replace(self, columns=columns, rows=self.rows[rows])


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, D) -> (N, D), each row of length 1; zeros where it has no length, NaN where it is not finite."""
    exact = vectors.astype(np.float64)
    exact[~np.isfinite(exact).all(axis=1)] = np.nan
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    exact[lengths[:, 0] < SHORTEST_VECTOR] = 0
    unit: NDArray[np.float32] = (exact / np.maximum(lengths, SHORTEST_VECTOR)).astype(np.float32)
    return unit


def _text(value: object) -> str:
    """A cell of the index: None and NaN are unknown, and so are empty."""
    return "" if value is None or value != value else str(value)


def is_feature_set(path: Path) -> bool:
    """Whether a path is to be opened as a feature set, and not as photos: a folder with a file of one."""
    return any((path / name).exists() for name in (EMBEDDINGS, INDEX)) or not path.exists()


def open_feature_set(folder: Path, columns: Collection[str] | None = None) -> FeatureSet:
    """Open a set that `extract` wrote; of the index all columns are kept, or these and `path`.

    Raises MissingFileError, and FeatureSetError that says why not.
    """
    for name in (EMBEDDINGS, INDEX):
        if not (folder / name).is_file():
            raise MissingFileError(folder / name, "feature set")
    try:
        embeddings = map_array(folder / EMBEDDINGS)
    except (ValueError, OSError) as error:
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
    rows = np.arange(len(embeddings))
    return FeatureSet(
        folder, cast(NDArray[np.float32], embeddings), index, rows, _read_source(folder / SOURCE)
    )


def map_array(path: Path) -> np.memmap[Any, np.dtype[Any]]:
    """A `.npy` file, mapped: one that is shorter than its header says is refused before memory is taken.

    Raises OSError, and ValueError for a file that is damaged or something else.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # NumPy raises many kinds for a damaged header
        raise ValueError(f"{error}") from error


def usable_rows(features: FeatureSet) -> tuple[FeatureSet, list[ImageFailure]]:
    """The set without rows that are no embeddings, and these rows with the reason, by the path of the image.

    A row that is not finite or all zeros is left out: the model had no answer for that image. Raises
    FeatureSetError where other rows are not of length 1, as the set is not one of embeddings then, and
    EmptyDataError where no row is left.
    """
    if not len(features):
        raise EmptyDataError(f"{features.name}: the feature set is empty; extract it from more images")
    out: dict[int, str] = {}
    wrong: list[int] = []
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(features)))
        vectors = features.read(rows)
        length = np.sqrt(np.vecdot(vectors, vectors))
        broken = ~np.isfinite(vectors).all(axis=1)
        empty = ~broken & (length < SHORTEST)
        out |= dict.fromkeys(rows[broken].tolist(), NOT_FINITE) | dict.fromkeys(
            rows[empty].tolist(), ALL_ZERO
        )
        wrong += rows[~broken & ~empty & ~(np.abs(length - 1) <= LENGTH_TOLERANCE)].tolist()
    if wrong:
        raise FeatureSetError(
            f"{features.name}: {len(wrong)} rows are not of length 1 (such as "
            f"{', '.join(features.paths[row] for row in wrong[:5])}); extract the set again"
        )
    failures = [
        ImageFailure(features.paths[row], f"row {features.rows[row]} of {features.name}: {out[row]}")
        for row in sorted(out)
    ]
    if len(failures) == len(features):
        raise EmptyDataError(
            f"{features.name}: none of the {len(features)} rows is an embedding (the first: "
            f"{failures[0].reason}); check the model, and extract the set again"
        )
    return features.without(out) if out else features, failures


def _read_source(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))[SOURCE_KEY])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FeatureSetError(f"{path}: does not name a source ({error}); extract the set again") from error


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
