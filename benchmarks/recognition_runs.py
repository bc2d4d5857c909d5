"""What the runs of `recipes/recognition.sh` came to, a row a run, and their means over the seeds.

python -m benchmarks.recognition_runs FOLDER_OF_RUNS
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from pathlib import Path
from typing import Any

import yaml

Row = dict[str, str | int | float]
HEADS = ("softmax", "cosface", "arcface")


def run_row(folder: Path) -> Row:
    """What a finished run was told, and its accuracies (%) on kept-out people and on LFW, both in folds."""
    told: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    measured = json.loads((folder / "judged" / "verification.json").read_text(encoding="utf-8"))
    lfw, people = measured["lfw"], measured["celeba_val"]
    point = lfw["tar_at_far"]["1e-02"]
    return {
        "head": told["head"],
        "seed": told["seed"],
        "epochs": told["epochs"],
        "people_accuracy": percent(people["accuracy"]),
        "lfw_accuracy": percent(lfw["accuracy"]),
        "lfw_fold_std": percent(lfw["accuracy_std"]),
        "lfw_equal_error_rate": percent(lfw["equal_error_rate"]),
        "lfw_tar_at_far_1e-2": percent(point["tar"]) if point else "",
    }


def percent(share: float) -> float:
    return round(100 * share, 2)


def summary(rows: list[Row]) -> str:
    """A line a head: mean and standard deviation over its seeds."""
    lines = ["| head | runs | kept-out people (%) | LFW (%) |", "| --- | --- | --- | --- |"]
    for head in HEADS:
        own = [row for row in rows if row["head"] == head]
        cells = [
            f"{statistics.mean(values):.2f} +- {statistics.stdev(values) if len(values) > 1 else 0:.2f}"
            for name in ("people_accuracy", "lfw_accuracy")
            if (values := [float(row[name]) for row in own])
        ]
        lines.append(f"| {head} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results/recognition_runs.csv"))
    options = parser.parse_args()
    found = sorted(options.folder.glob("*/judged/verification.json"))
    rows = [run_row(path.parent.parent) for path in found]
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(summary(rows))


if __name__ == "__main__":
    main()
