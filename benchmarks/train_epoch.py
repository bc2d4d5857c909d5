"""An epoch of `face-analysis train` with IR-SE-50 at 112x112: how long the network waits for images from a
packed file, and for its checkpoints."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from benchmarks.model_speed import machine, write_rows
from face_analysis.datasets.faces import FaceBatch
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.pack import pack
from face_analysis.datasets.sources import FolderSource
from face_analysis.datasets.synthetic import write_patterns
from face_analysis.memory import keep_freed_memory
from face_analysis.training.data import BatchLoader
from face_analysis.training.loop import TrainingLoop
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.saving.background import CheckpointWriter
from face_analysis.training.saving.checkpoints import read_checkpoint

WRITES = 5


class WatchedLoader(BatchLoader):
    """Notes the seconds until it had each batch of training images."""

    waits: ClassVar[list[float]] = []

    def __iter__(self) -> Iterator[FaceBatch]:  # type: ignore[override]
        batches = super().__iter__()
        for _ in range(len(self)):
            asked = time.perf_counter()
            batch = next(batches)
            if self.batches.shuffle:
                self.waits.append(time.perf_counter() - asked)
            yield batch


def packed_patterns(folder: Path, count: int) -> Path:
    images = FolderSource(read_image_list(write_patterns(folder, count, seed=0)), folder)
    pack(images, folder / f"{count}.lmdb", "gender")
    return folder / f"{count}.lmdb"


def watched_run(options: TrainOptions) -> dict[str, list[float]]:
    """Train, and give the seconds of each part of a step and of each save."""
    seconds: dict[str, list[float]] = {"_backward": [], "_step": [], "_save": []}

    def timed(name: str) -> Callable[..., None]:
        method = getattr(TrainingLoop, name)

        def call(self: TrainingLoop, *arguments: Any, **named: Any) -> None:
            start = time.perf_counter()
            method(self, *arguments, **named)
            seconds[name].append(time.perf_counter() - start)

        return call

    with (
        patch("face_analysis.training.data.BatchLoader", WatchedLoader),
        patch.multiple(TrainingLoop, **{name: timed(name) for name in seconds}),  # type: ignore[call-overload]
    ):
        train(options)
    return seconds


def seconds_to_write(checkpoint: Path, folder: Path) -> float:
    """Median seconds of a save, from its beginning until the file has its name."""
    content, seconds = read_checkpoint(checkpoint), []
    with CheckpointWriter() as files:
        for _ in range(WRITES):
            start = time.perf_counter()
            files.save(content, [folder / "written.ckpt"])
            files.finish()
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=960)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("results/train_epoch.csv"))
    given = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = TrainOptions(
            ("gender",),
            train_source=packed_patterns(folder / "train", given.images),
            val_source=packed_patterns(folder / "val", given.batch),
            output=folder / "run",
            epochs=1,
            batch_size=given.batch,
            validations=1,
            save_every=max(2, given.images // given.batch // 4),
            workers=given.workers,
        )
        seconds = watched_run(options)
        write = seconds_to_write(folder / "run" / "checkpoints" / "last.ckpt", folder)
    learnt, waited = sum(seconds["_backward"] + seconds["_step"]), sum(WatchedLoader.waits)
    stops = seconds["_save"][:-1]  # the loop has ended by the last one
    measured = [
        ("the network waits for images", 100 * waited / (learnt + waited), "% of the epoch", "<= 5"),
        ("write a checkpoint", write, "s", "< 2"),
        ("longest stop of the loop for a checkpoint", max(stops), "s", "<= 0.3"),
    ]
    sizes = {
        "seconds_of_epoch": f"{learnt + waited:.0f}",
        "images": str(given.images),
        "batch": str(given.batch),
        "workers": str(given.workers),
        "checkpoints": str(len(stops)),
    }
    rows = [
        {"what": what, "value": f"{value:.3g}", "unit": unit, "asked": asked, **sizes, **machine()}
        for what, value, unit, asked in measured
    ]
    write_rows(given.output, rows)


if __name__ == "__main__":
    main()
