"""Errors of the runs that `recipes/age_losses.sh` made, a row a run, with 95 % intervals over the images.

python benchmarks/age_losses.py FOLDER_OF_RUNS
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import yaml

Row = dict[str, str | int | float]


def run_row(folder: Path) -> Row:
    """What a finished run was told, and its mean absolute error in years: of the expected age and counted."""
    told: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    measured = json.loads((folder / "validation" / "metrics.json").read_text(encoding="utf-8"))
    expected = measured["attributes"]["age"]["overall"]["measures"]["mae"]
    return {
        "age_loss": told["age_loss"],
        "learning_rate": told["lr"],
        "seed": told["seed"],
        "images": expected["count"],
        "mae": round(expected["value"], 3),
        "low": round(expected["low"], 3),
        "high": round(expected["high"], 3),
        "mae_counted": round(measured["age_count"]["measures"]["mae"]["value"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results/age_losses.csv"))
    parser.add_argument("--best", metavar="LOSS", help="only print this loss's best learning rate at seed 0")
    options = parser.parse_args()
    rows = [run_row(path.parent.parent) for path in sorted(options.folder.glob("*/validation/metrics.json"))]
    if options.best:
        tried = [row for row in rows if row["age_loss"] == options.best and row["seed"] == 0]
        print(f"{min(tried, key=lambda row: row['mae'])['learning_rate']:g}")
        return
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(options.output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
