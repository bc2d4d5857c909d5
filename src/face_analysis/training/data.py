"""Loaders for training: batches of images from worker processes, resumable at any batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from face_analysis.datasets.attributes import Attribute, group_index
from face_analysis.datasets.faces import FaceBatch, FaceDataset, collate
from face_analysis.datasets.pairs.sets import PairSet
from face_analysis.datasets.samplers import ClassBatches, GlobalBatches, PeopleBatches
from face_analysis.datasets.sources import open_people, open_source
from face_analysis.distributed import rank, world_size
from face_analysis.errors import EmptyDataError, UnreadableImageError, UsageError
from face_analysis.files import first_reasons
from face_analysis.images.chips import ChipMaker
from face_analysis.machine import device_of
from face_analysis.training.options import TrainOptions

IMAGES, TOTAL, ORDER = "images", "total", "order"
"""The entries of a loader's state in a checkpoint."""
TRAINING_IMAGES = "training images"
TRIED = 8
"""Images that are read before a run begins, to see that they are where they are said to be."""


class PairImages(Dataset[FaceBatch]):
    """The images of a verification set, without labels."""

    def __init__(self, pair_set: PairSet) -> None:
        self.pair_set = pair_set

    def __len__(self) -> int:
        return len(self.pair_set.images)

    def __getitems__(self, indices: Sequence[int]) -> FaceBatch:
        """A batch by rows of the set."""
        pixels = torch.from_numpy(np.array(self.pair_set.images[list(indices)]))
        labels = torch.empty(len(indices), 0, dtype=torch.int64)
        return FaceBatch(pixels.permute(0, 3, 1, 2), labels, torch.tensor(indices, dtype=torch.int64), [])


class BatchLoader(DataLoader[FaceBatch]):
    """A loader whose position in its epoch is counted in images, and is part of a checkpoint.

    `order` says what the order of the images follows from, beside the epoch. `pinned` batches lie in memory
    from which a GPU copies them while it computes.
    """

    def __init__(
        self,
        dataset: FaceDataset | PairImages,
        batches: GlobalBatches,
        workers: int,
        order: dict[str, Any] | None = None,
        *,
        pinned: bool = False,
    ) -> None:
        super().__init__(
            dataset,
            batch_sampler=batches,
            collate_fn=collate,  # type: ignore[arg-type]  # the data set gives whole batches, not lists
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            pin_memory=pinned,
        )
        self.batches = batches
        self.order = order or {}

    def position(self, taken: int) -> dict[str, Any]:
        """How many images of the epoch so many batches are, of how many, and the order in which they come."""
        seen = min(taken * self.batches.batch_size, self.batches.total)
        return {IMAGES: seen, TOTAL: self.batches.total, ORDER: self.order}

    def skip(self, images: int) -> int:
        """Let the next iteration begin after so many images; gives how many batches come before it."""
        self.batches.start = images % self.batches.total
        return self.batches.batches_before(self.batches.start)


def train_loader(dataset: FaceDataset, options: TrainOptions) -> BatchLoader:
    """Shuffled batches of the training images, each a part of `batch_size`, as the options draw them."""
    drawn = {"seed": options.seed, "balance": options.balance, "images_per_person": options.images_per_person}
    order = {TRAINING_IMAGES: described(dataset), **drawn}
    batches = _train_batches(dataset, options)
    return BatchLoader(dataset, batches, options.workers, order, pinned=_on_gpu(options))


def _on_gpu(options: TrainOptions) -> bool:
    return device_of(options.device).type == "cuda"


def described(dataset: FaceDataset | PairImages) -> str:
    """What tells a data set from others, in words."""
    if isinstance(dataset, PairImages):
        return f"{dataset.pair_set.path.stem} of {len(dataset.pair_set.pairs)} pairs"
    content = hashlib.sha256(dataset.labels.tobytes()).hexdigest()
    return f"{len(dataset)} with labels of SHA-256 {content[:16]}"


def _train_batches(dataset: FaceDataset, options: TrainOptions) -> GlobalBatches:
    size = options.part_size
    place = {"seed": options.seed, "rank": rank(), "world": world_size()}
    if options.balance is not None:
        labels = group_index(options.balance, dataset.labels[:, dataset.columns.index(options.balance)])
        return ClassBatches(labels, size, **place)
    if options.images_per_person:
        people = size // options.images_per_person
        return PeopleBatches(dataset.labels[:, 0], people, options.images_per_person, **place)
    return GlobalBatches(len(dataset), size, shuffle=True, **place)


def val_loader(dataset: FaceDataset | PairImages, options: TrainOptions) -> BatchLoader:
    """The validation images in order; those of a verification set are in memory, and need no workers."""
    batches = GlobalBatches(len(dataset), options.part_size, shuffle=False, rank=rank(), world=world_size())
    workers = options.workers if isinstance(dataset, FaceDataset) else 0
    return BatchLoader(dataset, batches, workers, pinned=_on_gpu(options))


def train_dataset(options: TrainOptions, attributes: tuple[Attribute, ...]) -> FaceDataset:
    """The images of --train_source and --train_list with their labels for these attributes."""
    _require_training_images(options)
    maker = replace(chip_maker(options), borders="mixed")
    return open_dataset(options.train_source, options.train_list, attributes, options, maker)


def people_dataset(options: TrainOptions) -> FaceDataset:
    """The images of --train_source and --train_list with their classes; each subfolder is one without a list.

    The classes have the numbers that the source gives them.
    """
    _require_training_images(options)
    source = open_people(options.train_source, options.train_list)
    return require_readable(FaceDataset(source, ("class",), chip_maker(options), options.use_mask))


def val_dataset(options: TrainOptions, attributes: tuple[Attribute, ...]) -> FaceDataset:
    """The images of --val_source and --val_list with their labels for these attributes."""
    if options.val_source is None and not options.val_list:
        raise UsageError("nothing to validate on: give --val_source (a folder or an LMDB) and --val_list")
    if len(options.val_list) > 1:
        raise UsageError(f"--val_list takes one list for attributes, not {len(options.val_list)}")
    image_list = Path(options.val_list[0]) if options.val_list else None
    return open_dataset(options.val_source, image_list, attributes, options, chip_maker(options))


def open_dataset(
    source: Path | None,
    image_list: Path | None,
    attributes: tuple[Attribute, ...],
    options: TrainOptions,
    maker: ChipMaker,
) -> FaceDataset:
    """The images of one list or LMDB with their labels for the attributes of the run."""
    named = attributes[0] if len(attributes) == 1 else None
    images = open_source(source, image_list, named)
    return require_readable(FaceDataset(images, attributes, maker, options.use_mask))


def require_readable(dataset: FaceDataset) -> FaceDataset:
    """The data set itself. Raises EmptyDataError where none of a few images, spread over it, can be read.

    That is most often a list with another folder than its own, or masks that are not there, which would else
    show after the first epoch.
    """
    tried = {int(row) for row in np.linspace(0, len(dataset) - 1, TRIED).round()}
    reasons = []
    for row in dataset.rows[sorted(tried)].tolist():
        try:
            dataset.read(row)
            return dataset
        except UnreadableImageError as error:
            reasons.append(str(error))
    raise EmptyDataError(
        f"{dataset.source.origin}: none of {len(reasons)} images tried can be read:{first_reasons(reasons)}"
    )


def chip_maker(options: TrainOptions) -> ChipMaker:
    """With --align the face nearest the middle of each photo, found in the workers; else the image itself.

    A photo in which none is found is taken whole: its label is known all the same.
    """
    if not options.align:
        return ChipMaker()
    return ChipMaker.with_detector("centre", whole=True)


def _require_training_images(options: TrainOptions) -> None:
    if options.train_source is None and options.train_list is None:
        raise UsageError(
            "nothing to train on: give --train_source (a folder or a packed file) and --train_list"
        )
