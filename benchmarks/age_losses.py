"""Errors of the runs that `recipes/age_losses.sh` made: a row a run, and the losses side by side.

python -m benchmarks.age_losses FOLDER_OF_RUNS
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.model_speed import write_rows
from face_analysis.evaluation.intervals import mean_estimate

Row = dict[str, Any]
DECODINGS = {"expected": "age", "counted": "age_count"}  # and the column of the predictions
BASELINE = "dex"  # cross-entropy, to which the published comparison holds the others


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its row of the table."""

    folder: Path
    row: Row

    def judged_errors(self, ages: dict[str, int], decoding: str) -> NDArray[np.float64]:
        """Absolute errors in years of the images in `ages`, in their order."""
        with (self.folder / "judged" / "chips_predictions.csv").open(encoding="utf-8") as file:
            predicted = {line["path"]: float(line[DECODINGS[decoding]]) for line in csv.DictReader(file)}
        return np.array([abs(predicted[path] - age) for path, age in ages.items()])


def read_run(folder: Path) -> Run:
    """What a run was told, and its mean absolute errors in years by decoding.

    `choose_*` are of the images by which rate and decoding are chosen, `judged_*` of those that judge.
    """
    told: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    row: Row = {"age_loss": told["age_loss"], "learning_rate": told["lr"], "seed": told["seed"]}
    for name, part in (("choose", "validation"), ("judged", "judged")):
        measured = json.loads((folder / part / "metrics.json").read_text(encoding="utf-8"))
        expected = measured["attributes"]["age"]["overall"]["measures"]["mae"]
        row[f"{name}_expected"] = round(expected["value"], 3)
        row[f"{name}_counted"] = round(measured["age_count"]["measures"]["mae"]["value"], 3)
        row[f"{name}_images"] = expected["count"]
    return Run(folder, row)


def best(runs: list[Run], loss: str) -> tuple[float, str]:
    """The learning rate and the decoding with which a loss's run of seed 0 is best on the choosing images."""
    tried = [run.row for run in runs if run.row["age_loss"] == loss and run.row["seed"] == 0]
    errors = [(row[f"choose_{name}"], row["learning_rate"], name) for row in tried for name in DECODINGS]
    return min(errors)[1:]


def compare(runs: list[Run], ages: dict[str, int]) -> list[Row]:
    """A row a loss: its error, and how far it is from the baseline's on the same images, the best first.

    Intervals are a bootstrap over the images of errors averaged over the seeds; the deviation over the seeds
    is beside them.
    """
    errors: dict[str, NDArray[np.float64]] = {}
    rows: dict[str, Row] = {}
    for loss in {run.row["age_loss"]: None for run in runs}:
        rate, decoding = best(runs, loss)
        chosen = [run for run in runs if (run.row["age_loss"], run.row["learning_rate"]) == (loss, rate)]
        each = np.stack([run.judged_errors(ages, decoding) for run in chosen])
        errors[loss] = each.mean(axis=0)
        rows[loss] = {"age_loss": loss, "learning_rate": rate, "decoding": decoding, "seeds": len(chosen)}
        rows[loss] |= interval("mae", errors[loss])
        if len(chosen) > 1:
            rows[loss]["std_over_seeds"] = round(each.mean(axis=1).std(ddof=1), 3)
    if BASELINE in rows:
        for loss, row in rows.items():
            row |= interval(f"minus_{BASELINE}", errors[loss] - errors[BASELINE])
    return sorted(rows.values(), key=lambda row: float(row["mae"]))


def interval(name: str, values: NDArray[np.float64]) -> Row:
    found = mean_estimate(values)
    assert found is not None
    return {
        name: round(found.value, 3),
        f"{name}_low": round(found.low, 3),
        f"{name}_high": round(found.high, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results/age_losses.csv"))
    parser.add_argument(
        "--compared",
        type=Path,
        default=Path("results/age_losses_compared.csv"),
        help="the losses side by side",
    )
    parser.add_argument("--best", metavar="LOSS", help="only print this loss's best learning rate at seed 0")
    options = parser.parse_args()
    runs = [read_run(path.parent.parent) for path in sorted(options.folder.glob("*/judged/metrics.json"))]
    if options.best:
        print(f"{best(runs, options.best)[0]:g}")
        return
    with (options.folder / "chips_val" / "chips.csv").open(encoding="utf-8") as file:
        ages = {line["path"]: int(line["age"]) for line in csv.DictReader(file)}
    write_rows(options.output, [run.row for run in runs])
    write_rows(options.compared, compare(runs, {path: age for path, age in ages.items() if 0 <= age <= 100}))


if __name__ == "__main__":
    main()
