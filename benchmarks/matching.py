"""All pairs of 20,000 embeddings: `match` against the bare product, and against the textbook's full matrix.

The bare product has the strips, tiles, threads and half matrix of `match`, which is here the whole command,
from the feature set to its files. The textbook's way, as the original system's, keeps a float64
matrix, masks and arrays of pairs; it is run on 5,000, beside what `match` does without its files. Last,
`match` compares pairs of 200,000 embeddings for a minute, from which the time for all is extrapolated.

python -m benchmarks.matching
"""

from __future__ import annotations

import io
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import torch

from benchmarks.model_speed import Way, machine, options, seconds_in_turn, write_rows
from benchmarks.process_memory import megabytes
from face_analysis.cli import match as command
from face_analysis.matching.blocks import TILE_COLUMNS
from face_analysis.matching.comparison import compare
from face_analysis.matching.features.feature_set import FeatureSet, open_feature_set
from face_analysis.matching.features.writer import EmbeddingFile, write_index
from face_analysis.matching.match import BLOCK_ROWS, match

SIZE, EACH, PEOPLE_AT_ONCE = 512, 4, 10
TEXTBOOK_ROWS, MANY_ROWS = 5_000, 200_000
LONGEST = 60.0
"""Seconds of the many rows."""
Row = dict[str, str]


def folder_of(rows: int) -> Path:
    return Path(tempfile.gettempdir(), f"face-analysis-matching-{rows}")


def feature_set(rows: int) -> FeatureSet:
    """People with four rows each around their own centre; written where it is not there yet."""
    folder = folder_of(rows)
    if not (folder / "index.csv").exists():
        rng = np.random.default_rng(0)
        file = EmbeddingFile(folder, 0, SIZE)
        for _ in range(0, rows, PEOPLE_AT_ONCE * EACH):
            centres = np.repeat(rng.standard_normal((PEOPLE_AT_ONCE, SIZE)), EACH, axis=0)
            vectors = centres + 0.8 * rng.standard_normal(centres.shape) + 0.2
            file.add((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
        file.finish()
        records = [{"path": f"{row}.jpg", "subject": f"person {row // EACH}"} for row in range(file.rows)]
        write_index(folder, ["path", "subject"], records)
    return open_feature_set(folder)


def bare(rows: int) -> Callable[[], None]:
    features = torch.from_numpy(feature_set(rows).read(np.arange(rows)))
    threads, strip, tile = torch.get_num_threads(), BLOCK_ROWS["cpu"], TILE_COLUMNS["cpu"]

    def multiply(start: int) -> None:
        torch.set_num_threads(1)
        products = torch.empty(strip, tile)
        probes = features[start : start + strip]
        for first in range(start, rows, tile):
            columns = features[first : first + tile]
            torch.mm(probes, columns.T, out=products[: len(probes), : len(columns)])

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(multiply, range(0, rows, strip)))

    return run


def whole(rows: int) -> Callable[[], None]:
    words = [str(feature_set(rows).folder), "-o"]

    def run() -> None:
        with (
            tempfile.TemporaryDirectory() as output,
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            command.main([*words, output])

    return run


def counts(rows: int) -> Callable[[], object]:
    features = feature_set(rows)
    return lambda: match(compare(features))


def textbook(rows: int) -> Callable[[], None]:
    found = feature_set(rows)
    features = np.array(found.embeddings, np.float64)
    people, labels = np.array(found.columns["subject"]), np.array(found.paths)

    def run() -> None:
        scores = features @ features.T
        kind = np.zeros((rows, rows))
        for row in range(rows):
            kind[row, people[row] == people] = 1
            kind[row, labels[row] == labels] = -1
            kind[row, : row + 1] = -1
        for wanted in (1, 0):
            first, second = np.where(kind == wanted)
            pairs = np.vstack([first, second, np.round(scores[kind == wanted], 6)]).T
            np.histogram(pairs[:, 2], 20_000, (-1, 1))

    return run


class TimeOverError(Exception):
    """Enough pairs are compared."""


def many(rows: int) -> Row:
    """Pairs a second over a minute at most, and hours for all at that."""
    comparison = compare(feature_set(rows))
    done, start = 0, time.perf_counter()

    def progress(pairs: int) -> None:
        nonlocal done
        done += pairs
        if time.perf_counter() - start > LONGEST:
            raise TimeOverError

    with suppress(TimeOverError):
        match(comparison, progress=progress)
    speed = done / (time.perf_counter() - start)
    return {
        "way": "match",
        "rows": str(rows),
        "pairs_compared": str(done),
        "million_pairs_per_second": f"{speed / 1e6:.1f}",
        "peak_MiB": f"{megabytes('VmHWM'):.0f}",
        "minutes_for_all_extrapolated": f"{comparison.pairs / speed / 60:.1f}",
    }


def memory(way: Way, rows: int) -> Row:
    """The most a process held in one run, and how much that was over what it held before."""
    run = way(rows)
    before = megabytes("VmRSS")
    run()
    most = megabytes("VmHWM")
    return {"peak_MiB": f"{most:.0f}", "growth_MiB": f"{most - before:.0f}"}


def side_by_side(ways: dict[str, Way], rows: int, rounds: int) -> list[Row]:
    feature_set(rows)
    seconds = seconds_in_turn(ways, rows, rounds)
    pairs = rows * (rows - 1) // 2
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        {
            "way": name,
            "rows": str(rows),
            "pairs_compared": str(pairs),
            "rounds": str(rounds),
            "median_seconds": f"{median:.3f}",
            "fastest_seconds": f"{min(seconds[name]):.3f}",
            "million_pairs_per_second": f"{pairs / median / 1e6:.1f}",
            "times_as_long": f"{median / next(iter(medians.values())):.3f}",
            **alone(memory, ways[name], rows),
        }
        for name, median in medians.items()
    ]


def alone(function: Callable[..., Row], *arguments: object) -> Row:
    """Call in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    against_product: dict[str, Way] = {"bare product": bare, "match": whole}
    against_textbook: dict[str, Way] = {"textbook": textbook, "match without files": counts}
    ways = against_product | against_textbook
    given = options(__doc__, ways, batch=20_000, output="results/matching.csv")
    rows = [
        *side_by_side(against_product, given.batch, given.rounds),
        *side_by_side(against_textbook, TEXTBOOK_ROWS, given.rounds),
        alone(many, MANY_ROWS),
    ]
    for number in (given.batch, TEXTBOOK_ROWS, MANY_ROWS):
        shutil.rmtree(folder_of(number))
    write_rows(given.output, [row | machine() for row in rows])


if __name__ == "__main__":
    main()
