"""Every score of a comparison in a file: the arrays of the original system, or Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.npy_files import npy_header
from face_analysis.datasets.parquet import pyarrow_for
from face_analysis.files import whole_file
from face_analysis.matching.comparison import Comparison, Records, Side
from face_analysis.matching.features.feature_set import ROWS_AT_ONCE

ScoreLayout = Literal["npy", "parquet"]
DECIMALS = 6
BYTES_PER_PAIR = 64
"""Held at most for each pair of a block."""
SCORE = np.dtype([("probe", np.int64), ("gallery", np.int64), ("score", np.float64), ("mated", np.bool_)])
"""A pair: its rows in the index, its cosine to 6 decimals, and whether it shows one person."""


def write_scores(
    comparison: Comparison,
    layout: ScoreLayout,
    start: Path,
    memory: float,
    progress: Callable[[int], object] = lambda pairs: None,
) -> None:
    """Write all scores, computed in float64, in the order of the probes, then of the gallery.

    `start` is what the names begin with. "npy": `<start>_authentic.npy` and `<start>_impostor.npy`, rows
    `probe, gallery, score`, float64, as the original system; "parquet": `<start>_scores.parquet`. Labels
    (paths, of the original command `parent/stem`) go to `<start>_labels.txt`, and those of a gallery to
    `<start>_gallery_labels.txt`.
    `memory` (bytes) bounds what is held. Raises WriteError, and MissingPackageError where that of Parquet is
    missing.
    """
    blocks = score_blocks(comparison, memory, progress)
    if layout == "npy":
        _write_arrays(blocks, start)
    else:
        _write_parquet(blocks, _named(start, "scores.parquet"))
    _write_labels(comparison.probes, _named(start, "labels.txt"))
    if not comparison.within:
        _write_labels(comparison.gallery, _named(start, "gallery_labels.txt"))


def score_blocks(
    comparison: Comparison, memory: float, progress: Callable[[int], object] = lambda pairs: None
) -> Iterator[Records]:
    """The scores, of SCORE, of some probes at a time; `progress` gets how many pairs more are done."""
    probes, gallery = comparison.probes, comparison.gallery
    size = max(int(memory / 2 / (BYTES_PER_PAIR * len(gallery))), 1)
    for start in range(0, len(probes), size):
        rows = np.arange(start, min(start + size, len(probes)))
        columns = np.arange(start if comparison.within else 0, len(gallery))
        scores = _cosines(probes, rows, gallery, columns)
        picture = probes.rows["picture"][rows, None]
        compared = (picture < 0) | (picture != gallery.rows["picture"][columns])
        if comparison.within:
            compared &= columns > rows[:, None]
        row, column = np.nonzero(compared)
        probe, other = rows[row], columns[column]
        found = np.empty(len(row), SCORE)
        found["probe"], found["gallery"] = probes.features.rows[probe], gallery.features.rows[other]
        found["score"] = np.round(scores[row, column], DECIMALS)
        found["mated"] = probes.rows["subject"][probe] == gallery.rows["subject"][other]
        yield found
        progress(int((columns > rows[:, None]).sum()) if comparison.within else compared.size)


def _cosines(
    probes: Side, rows: NDArray[np.int64], gallery: Side, columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    found = np.empty((len(rows), len(columns)))
    first = _unit(probes.features.read(rows))
    for start in range(0, len(columns), ROWS_AT_ONCE):
        chunk = slice(start, start + ROWS_AT_ONCE)
        found[:, chunk] = first @ _unit(gallery.features.read(columns[chunk])).T
    return found


def _unit(features: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = features.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    return exact


def _write_arrays(blocks: Iterator[Records], start: Path) -> None:
    with (
        _growing_array(_named(start, "authentic.npy")) as authentic,
        _growing_array(_named(start, "impostor.npy")) as impostor,
    ):
        for block in blocks:
            rows = np.column_stack([block["probe"], block["gallery"], block["score"]])
            authentic(rows[block["mated"]])
            impostor(rows[~block["mated"]])


@contextmanager
def _growing_array(path: Path) -> Iterator[Callable[[NDArray[np.float64]], None]]:
    """Give what appends rows (N, 3); the array becomes whole when the block ends."""
    count = 0
    with whole_file(path) as partial, partial.open("wb") as file:
        file.write(npy_header("<f8", (0, 3)))

        def add(rows: NDArray[np.float64]) -> None:
            nonlocal count
            count += len(rows)
            file.write(rows.astype("<f8").tobytes())

        yield add
        file.seek(0)
        file.write(npy_header("<f8", (count, 3)))


def _write_parquet(blocks: Iterator[Records], path: Path) -> None:
    pa, pq = pyarrow_for("--scores parquet")
    schema = pa.schema([(name, pa.from_numpy_dtype(SCORE[name])) for name in SCORE.names or ()])
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for block in blocks:
            writer.write_table(pa.table({name: block[name] for name in schema.names}, schema))


def _write_labels(side: Side, path: Path) -> None:
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", errors="surrogateescape") as file,
    ):
        rows = side.features.rows.tolist()
        file.writelines(f"{row} {label}\n" for row, label in zip(rows, side.labels, strict=True))


def _named(start: Path, end: str) -> Path:
    return start.with_name(f"{start.name}_{end}")
