"""Run folders as `train` writes them, by hand."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

COLUMNS = (
    "learning_rate",
    "train_loss",
    "margin",
    "feature_norm",
    "target_cosine",
    "val_score",
    "val_a_accuracy",
)
FIRST = {"learning_rate": 0.1, "margin": 0.5}
EPOCH_STEPS = 4


def write_run(
    folder: Path, accuracies: Sequence[float], *, epochs: int = 3, finished: bool = True, **settings: object
) -> Path:
    """A run of recognition: four logged steps of 10 images an epoch, and an accuracy after each epoch."""
    rows: list[dict[str, object]] = []
    for epoch, accuracy in enumerate(accuracies):
        for step in range(EPOCH_STEPS * epoch, EPOCH_STEPS * (epoch + 1)):
            values = {
                "train_loss": round((7 * step) % 11 + accuracy, 6),
                "feature_norm": 9 + step,
                "target_cosine": step / 64,
            }
            rows.append({"epoch": epoch, "step": step, **FIRST, **values})
        last = EPOCH_STEPS * (epoch + 1) - 1
        rows.append({"epoch": epoch, "step": last, "val_score": accuracy, "val_a_accuracy": accuracy})
    told = {
        "attribute": ["recognition"],
        "batch_size": 10,
        "epochs": epochs,
        "output": str(folder),
        **settings,
    }
    return write_folder(folder, told, COLUMNS, rows, finished=finished)


def write_folder(
    folder: Path,
    settings: Mapping[str, object],
    columns: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    *,
    finished: bool,
) -> Path:
    """`checkpoints`, `config.yaml`, `metrics.csv` and, of a finished run, `model.safetensors`."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(settings)))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ("epoch", "step", *columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if finished:
        (folder / "model.safetensors").write_bytes(b"weights")
    return folder
