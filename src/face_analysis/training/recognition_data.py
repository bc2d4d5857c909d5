"""What a recognition training tells apart and is validated on: its people and its verification sets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.pairs.pairs import FOLDS
from face_analysis.datasets.pairs.sets import PairSet, open_pairs
from face_analysis.errors import EmptyDataError, MissingFileError, UsageError
from face_analysis.training.fitting import device_of_process, free_of_process
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
    return _person_names(dataset, numbers)


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


def _person_names(dataset: FaceDataset, numbers: NDArray[np.int64]) -> tuple[str, ...]:
    source = dataset.source
    subjects = source.strings.get("subject") if "class" not in source.labels else None
    if subjects is None and not source.origin.is_dir():
        return tuple(map(str, numbers.tolist()))
    first = dataset.rows[np.unique(dataset.labels[:, 0], return_index=True)[1]].tolist()
    if subjects is None:
        return tuple(source.name(row).split("/", 1)[0] for row in first)
    return tuple(subjects[row] for row in first)


def class_count(people: int, options: TrainOptions) -> int:
    """How many classes the head gets: `--num_classes`, or one for each of the people.

    Raises UsageError for fewer classes than people, or for more than fit into memory.
    """
    if options.num_classes is not None and options.num_classes < people:
        raise UsageError(f"--num_classes {options.num_classes}: the images are of {people} people")
    classes = options.num_classes or people
    size, batch = options.embedding_size, options.part_size
    memory = head_memory(classes, size, batch, options.sample_rate, options.subcentres)
    free = free_of_process(device_of_process(options))
    if memory.total > free:
        raise UsageError(
            f"the head does not fit into memory: {memory.text}; {free / 2**20:,.0f} MiB are free for each "
            "process. Give a smaller --num_classes, --embedding_size or --sample_rate"
        )
    log.info("head: %s", memory.text)
    if classes > people:
        log.info("head: %s of the classes are without an image", f"{classes - people:,}")
    return classes


def val_sets(options: TrainOptions) -> list[PairSet]:
    """The verification sets that --val_list names in --val_source, written as a Python list too.

    A set that is not there is warned of while another is. Raises MissingFileError where none is there,
    UsageError for two of one name, EmptyDataError for one whose accuracy would say nothing, and as
    `open_pairs` for one that cannot be read.
    """
    names = _names(options.val_list)
    if not names:
        raise UsageError(
            "nothing to validate on: give --val_source (a folder of verification sets) and --val_list (names)"
        )
    sets: dict[str, PairSet] = {}
    missing: list[MissingFileError] = []
    for name in names:
        place = Path(options.val_source or "", name)
        try:
            found = open_pairs(place)
        except MissingFileError as error:
            if _is_there(place):
                raise
            missing.append(error)
            continue
        _add(sets, found)
    if not sets:
        raise missing[0]
    for reason in missing:
        log.warning("%s; the score is of the other sets alone", reason)
    return list(sets.values())


def _names(words: Sequence[str]) -> list[str]:
    """The names in words such as `lfw`, `[lfw,` or `['lfw', 'cfp_fp']`."""
    names = [name.strip("[]()'\"") for word in words for name in word.replace(",", " ").split()]
    return [name for name in names if name]


def _is_there(place: Path) -> bool:
    """Whether a set of which something is missing is there itself."""
    names = (place.name, place.name.replace("cpf_fp", "cfp_fp"))
    return any(place.with_name(f"{name}{suffix}").exists() for name in names for suffix in ("", ".bin"))


def _add(sets: dict[str, PairSet], found: PairSet) -> None:
    earlier = sets.setdefault(found.path.stem, found)
    if earlier is found:
        _judge(found)
    elif earlier.path.resolve() == found.path.resolve():
        log.warning("%s is named twice in --val_list; it counts once", found.path)
    else:
        raise UsageError(f"--val_list: {earlier.path} and {found.path} have one name; rename one of them")


def _judge(pair_set: PairSet) -> None:
    pairs = pair_set.pairs
    origin, count = pair_set.path, int(pairs.same.sum())
    kinds = f"{count} pairs of one person and {len(pairs) - count} of two"
    if not 0 < count < len(pairs):
        raise EmptyDataError(f"{origin}: {kinds}; verification needs both, give another set")
    # The pairs outside of each fold are of both kinds where each kind lies in several folds.
    if min(len(np.unique(pairs.fold[kind])) for kind in (pairs.same, ~pairs.same)) < 2:
        raise EmptyDataError(
            f"{origin}: {kinds} are too few, or lie in too few folds: the pairs outside of each fold choose "
            "its threshold, and need both kinds; give a larger set"
        )
    log.info("validation: %s of %s, in %d folds", kinds, origin, len(np.unique(pairs.fold)))
    if pair_set.pairs_left_out:
        log.warning("%s: %d pairs have an image that cannot be read", origin, pair_set.pairs_left_out)
    if len(pairs) < 2 * FOLDS:
        log.warning("%s: %d pairs; each counts for %.0f %% of accuracy", origin, len(pairs), 100 / len(pairs))
