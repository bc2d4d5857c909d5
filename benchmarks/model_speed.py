"""What the model benchmarks share: two ways timed in turn, and a table that names the machine."""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

CPU_FEATURES = ("avx2", "avx512_f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile")


def smooth_images(count: int, generator: torch.Generator) -> Tensor:
    """(count, 3, 112, 112) in -1 to 1: random colours blurred over the picture, as photos are."""
    coarse = torch.rand(count, 3, 7, 7, generator=generator) * 2 - 1
    return F.interpolate(coarse, size=112, mode="bicubic").clamp(-1, 1)


Way = Callable[[int], Callable[[], object]]
"""Takes a batch size and prepares; what it returns is timed."""


def options(about: str | None, ways: Mapping[str, Way], batch: int, output: str) -> argparse.Namespace:
    """Parse the command line; called again as the process of one way, serve that way and end."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(output))
    parser.add_argument("--way", choices=list(ways), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        _serve(ways[given.way](given.batch))
        sys.exit()
    return given


def _serve(call: Callable[[], object]) -> None:
    """Time one call for each line on standard input."""
    for _ in sys.stdin:
        start = time.perf_counter()
        call()
        print(time.perf_counter() - start, flush=True)


def seconds_in_turn(ways: Mapping[str, Way], batch: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each call; one warm-up call each, then every round calls each way once.

    Each way runs in a process of its own, as its command would, and waits while the other works.
    """
    specification = sys.modules["__main__"].__spec__  # the benchmark's, which `python -m` started
    assert specification is not None
    words = [sys.executable, "-m", specification.name, "--batch", str(batch), "--way"]
    processes = {
        name: subprocess.Popen([*words, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ways
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            taken = float(process.stdout.readline())
            if number:
                seconds[name].append(taken)
    for process in processes.values():
        process.communicate()
    return seconds


def machine() -> dict[str, str]:
    """CPU features that matter here, torch version, threads."""
    found = torch.cpu.get_capabilities()
    return {
        "cpu": " ".join(name for name in CPU_FEATURES if found.get(name)),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "cores": str(os.cpu_count()),
    }


def report(
    path: Path,
    seconds: Mapping[str, list[float]],
    images: int,
    extra: Mapping[str, str],
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Print and write one row a way: median, images a second, times as fast as the first way.

    Beside them stand `extra`, the same for all, and of `own` those of each way.
    """
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    baseline = next(iter(medians.values()))
    rows = [
        {
            "way": name,
            "batch": str(images),
            "rounds": str(len(seconds[name])),
            "median_seconds": f"{median:.3f}",
            "fastest_seconds": f"{min(seconds[name]):.3f}",
            "images_per_second": f"{images / median:.1f}",
            "times_as_fast": f"{baseline / median:.2f}",
            **(own or {}).get(name, {}),
            **extra,
            **machine(),
        }
        for name, median in medians.items()
    ]
    write_rows(path, rows)


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows and write them as CSV; what a row does not name stays empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print("  ".join(f"{key}={value}" for key, value in row.items()))
    print(f"written: {path}", file=sys.stderr)
