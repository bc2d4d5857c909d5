"""Loaders for training: batches of images from worker processes, resumable at any batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from face_analysis.datasets.attributes import Attribute
from face_analysis.datasets.faces import FaceBatch, FaceDataset, collate
from face_analysis.datasets.samplers import GlobalBatches
from face_analysis.datasets.sources import open_source
from face_analysis.errors import UsageError
from face_analysis.images.chips import FaceCutter, face_cutter
from face_analysis.training.options import TrainOptions


class BatchLoader(DataLoader[FaceBatch]):
    """A loader whose position is part of a checkpoint: Lightning saves and restores its state."""

    def __init__(self, dataset: FaceDataset, batches: GlobalBatches, workers: int) -> None:
        super().__init__(
            dataset,
            batch_sampler=batches,
            collate_fn=collate,  # type: ignore[arg-type]  # the data set gives whole batches, not lists
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
        )
        self.batches = batches
        self.given = 0

    def __iter__(self) -> Iterator[FaceBatch]:  # type: ignore[override]
        self.given = self.batches.start
        for batch in super().__iter__():
            self.given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Batches given in the current epoch."""
        return {"given": self.given % len(self.batches)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration begin after the batches already given."""
        self.batches.start = state["given"]


def open_dataset(
    source: Path | None,
    image_list: Path | None,
    attributes: tuple[Attribute, ...],
    options: TrainOptions,
    cutter: FaceCutter,
) -> FaceDataset:
    """The images of one list or LMDB with their labels for the attributes of the run."""
    named = attributes[0] if len(attributes) == 1 else None
    return FaceDataset(open_source(source, image_list, named), attributes, cutter, options.use_mask)


def train_dataset(options: TrainOptions, attributes: tuple[Attribute, ...]) -> FaceDataset:
    """The images of --train_source and --train_list."""
    if options.train_source is None and options.train_list is None:
        raise UsageError("nothing to train on: give --train_source (a folder or an LMDB) and --train_list")
    cutter = replace(chip_cutter(options), borders="mixed")
    return open_dataset(options.train_source, options.train_list, attributes, options, cutter)


def val_dataset(options: TrainOptions, attributes: tuple[Attribute, ...]) -> FaceDataset:
    """The images of --val_source and --val_list."""
    if options.val_source is None and not options.val_list:
        raise UsageError("nothing to validate on: give --val_source (a folder or an LMDB) and --val_list")
    if len(options.val_list) > 1:
        raise UsageError(f"--val_list takes one list for attributes, not {len(options.val_list)}")
    image_list = Path(options.val_list[0]) if options.val_list else None
    return open_dataset(options.val_source, image_list, attributes, options, chip_cutter(options))


def chip_cutter(options: TrainOptions) -> FaceCutter:
    """With --align the face nearest the middle of each photo, found in the workers; else the image itself.

    A photo in which none is found is taken whole: its label is known all the same.
    """
    if not options.align:
        return FaceCutter()
    return face_cutter("centre", whole=True)
