"""Seconds until the package, its help and its first answer are there, each in a fresh process.

python -m benchmarks.startup
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.generators.portraits import portrait_photos


def seconds(words: list[str]) -> float:
    """Until the first line of output, or the end of a command that says nothing."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    taken = time.perf_counter() - start
    process.communicate()
    if process.returncode != 0:
        sys.exit(f"{' '.join(words)} failed")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("results/startup.csv"))
    options = parser.parse_args()
    command = [sys.executable, "-m", "face_analysis.cli.main"]
    ways = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import face_analysis": [sys.executable, "-c", "import face_analysis"],
        "face-analysis --help": [*command, "--help"],
        "face-analysis predict PHOTO": [*command, "predict", str(portrait_photos(1)[0])],
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds + 1):
        for name, words in ways.items():
            found = seconds(words)
            if number:  # the first round fills the file cache
                taken[name].append(found)
    rows = [
        {
            "way": name,
            "rounds": len(values),
            "median_seconds": f"{statistics.median(values):.3f}",
            "slowest_seconds": f"{max(values):.3f}",
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        }
        for name, values in taken.items()
    ]
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print("  ".join(f"{key}={value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
