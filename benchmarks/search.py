"""The 10 best of 50,000 rows for each of 2,000 probes: `search` and FAISS against the sorted full matrix.

python -m benchmarks.search

Rows hold 512 numbers, four a person. NumPy partitions the full matrix and sorts the heads. An image is a
probe here. Building FAISS's index is not in its time but beside it, as is the share of the exact candidates
that it finds: its rows are drawn evenly about the sphere, where lists about centres help the least.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

import numpy as np

from benchmarks.matching import alone, feature_set, folder_of
from benchmarks.model_speed import Way, options, report, seconds_in_turn
from benchmarks.process_memory import megabytes
from face_analysis.matching.comparison import compare
from face_analysis.matching.faiss_index import FaissIndex
from face_analysis.matching.search import search

ROWS, TOP, MEMORY = 50_000, 10, 1e9
EXACT = {"build_seconds": "", "recall": "1"}


def full_matrix(probes: int) -> Callable[[], object]:
    one, other = (np.array(feature_set(count).embeddings) for count in (probes, ROWS))

    def run() -> object:
        scores = one @ other.T
        best = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
        return np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), axis=1), 1)

    return run


def blocks(probes: int) -> Callable[[], object]:
    comparison = compare(feature_set(probes), feature_set(ROWS))
    return lambda: list(search(comparison, np.arange(probes), TOP, MEMORY))


def faiss_flat(probes: int) -> Callable[[], object]:
    index = FaissIndex(compare(feature_set(probes), feature_set(ROWS)), 1, 1, MEMORY)
    return lambda: list(index.search(np.arange(probes), TOP))


def faiss_lists(probes: int) -> Callable[[], object]:
    index = FaissIndex(compare(feature_set(probes), feature_set(ROWS)), None, 32, MEMORY)
    return lambda: list(index.search(np.arange(probes), TOP))


def memory(way: Way, probes: int) -> dict[str, str]:
    """The most that a process of its own holds in one run, and by how much that is more than before it."""
    run = way(probes)
    before = megabytes("VmRSS")
    run()
    most = megabytes("VmHWM")
    return {"peak_MiB": f"{most:.0f}", "growth_MiB": f"{most - before:.0f}"}


def built(probes: int) -> dict[str, str]:
    """How long FAISS takes to fill its lists, and what it finds by them."""
    comparison = compare(feature_set(probes), feature_set(ROWS))
    start = time.perf_counter()
    index = FaissIndex(comparison, None, 32, MEMORY)
    seconds = time.perf_counter() - start
    return {"build_seconds": f"{seconds:.1f}", "recall": f"{index.recall(TOP, MEMORY)['recall']:.3f}"}


def main() -> None:
    ways: dict[str, Way] = {
        "full matrix": full_matrix,
        "search": blocks,
        "faiss, flat": faiss_flat,
        "faiss, 32 of its lists": faiss_lists,
    }
    given = options(__doc__, ways, batch=2000, output="results/search.csv")
    for count in (given.batch, ROWS):
        feature_set(count)
    seconds = seconds_in_turn(ways, given.batch, given.rounds)
    own = {name: alone(memory, way, given.batch) | EXACT for name, way in ways.items()}
    own["faiss, 32 of its lists"] |= alone(built, given.batch)
    report(given.output, seconds, given.batch, {"rows": str(ROWS), "candidates": str(TOP)}, own)
    for count in (given.batch, ROWS):
        shutil.rmtree(folder_of(count))


if __name__ == "__main__":
    main()
