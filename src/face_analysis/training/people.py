"""The people that a recognition training tells apart: their numbers, their names, and whether they fit."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.sources import ImageSource
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.files import write_csv
from face_analysis.losses.processes import world
from face_analysis.memory import free_memory
from face_analysis.training.options import TrainOptions
from face_analysis.training.tasks.partial_fc import head_memory

log = logging.getLogger(__name__)
LARGEST_EXACT = 2**24
"""Up to here float32, in which a .rec holds its labels, tells every whole number from the next."""


def number_people(dataset: FaceDataset) -> tuple[str, ...]:
    """Number the people 0 ... N - 1 in the labels of a data set, and give their names in this order.

    A name is the person's `subject` in a CSV list, the folder, or the number that the source has. Raises
    EmptyDataError where there are fewer than two people.
    """
    origin = dataset.source.origin
    numbers = dataset.number_classes()
    if len(numbers) < 2:
        raise EmptyDataError(f"{origin}: images of one person only; recognition needs at least two")
    _warn_of_numbers(origin, numbers)
    if len(numbers) == len(dataset):
        log.warning("no person in %s has two images: nobody's images can be brought together", origin)
    first = dataset.rows[np.unique(dataset.labels[:, 0], return_index=True)[1]]
    rows = zip(first.tolist(), numbers.tolist(), strict=True)
    return tuple(_name(dataset.source, row, number) for row, number in rows)


def _warn_of_numbers(origin: Path, numbers: NDArray[np.int64]) -> None:
    count, low, high = len(numbers), int(numbers[0]), int(numbers[-1])
    span = high - low + 1
    if low or span > count:
        log.info("the classes %d to %d of %s are numbered 0 to %d", low, high, origin, count - 1)
    if span > 2 * count:
        log.warning(
            "%s: %s of the %s classes from %d to %d are without an image; see that the numbers are people's",
            origin,
            f"{span - count:,}",
            f"{span:,}",
            low,
            high,
        )
    if origin.suffix == ".rec" and high > LARGEST_EXACT:
        log.warning(
            "%s: a .rec holds labels in float32, which merges neighbours over %d: number its people from 0",
            origin,
            LARGEST_EXACT,
        )


def _name(source: ImageSource, row: int, number: int) -> str:
    if "class" not in source.labels and "subject" in source.strings:
        return source.strings["subject"][row]
    if source.origin.is_dir():
        return source.name(row).split("/", 1)[0]
    return str(number)


def class_count(people: int, options: TrainOptions) -> int:
    """How many classes the head gets: `--num_classes`, or one for each of the people.

    Raises UsageError for fewer classes than people, or for more than fit into memory.
    """
    if options.num_classes is not None and options.num_classes < people:
        raise UsageError(f"--num_classes {options.num_classes}: the images are of {people} people")
    classes = options.num_classes or people
    size, batch = options.embedding_size, options.part_size
    memory = head_memory(classes, size, batch, options.sample_rate, options.subcentres)
    free, together = free_memory(), int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world() > 1 else 1
    if torch.cuda.is_available():
        free, together = torch.cuda.mem_get_info()[0], 1
    if memory.total * together > free:
        raise UsageError(
            f"the head does not fit into memory: {memory.text}; {free // together / 2**20:,.0f} MiB are free "
            "for each process. Give a smaller --num_classes, --embedding_size or --sample_rate"
        )
    log.info("head: %s", memory.text)
    if classes > people:
        log.info("head: %s of the classes are without an image", f"{classes - people:,}")
    return classes


def write_people(path: Path, people: tuple[str, ...]) -> None:
    """Write which person each class of the head is. Raises WriteError."""
    write_csv(path, ("class", "person"), enumerate(people))
