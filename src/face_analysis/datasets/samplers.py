"""The order in which a run sees its images, defined for all processes together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from face_analysis.errors import EmptyDataError, UsageError


class GlobalBatches(Sampler[list[int]]):
    """Yields a list of row indices a step: this process's share of the global batch.

    The order follows from (seed, epoch) alone, so it depends neither on the number of processes nor on where
    a run was cut. `start` is how many of its `total` rows the next iteration leaves out, for they have been
    seen, in batches of whatever size: it begins with the rest of the batch that these end in. When shuffled,
    a rest of one row comes with the batch after it, and a last batch of one row gets another from the epoch's
    beginning, since batch norm cannot learn from one. No process gets one row alone of a batch of two or
    more; some may get none.
    """

    def __init__(
        self, count: int, batch_size: int, *, shuffle: bool, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.count, self.batch_size, self.shuffle, self.seed = count, batch_size, shuffle, seed
        self.rank, self.world = rank, world
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives the order of."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    @property
    def total(self) -> int:
        """How many rows an epoch has, without those that fill up its last batch."""
        return self.count

    def batches_before(self, seen: int) -> int:
        """The place in an epoch, from 0, of the batch that follows when so many rows have been seen."""
        if seen >= self.total:
            return len(self)
        batch, into = divmod(seen, self.batch_size)
        alone = self.shuffle and into == self.batch_size - 1 and into > 0 and batch + 1 < len(self)
        return batch + alone

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order()
        seen, self.start = self.start, 0
        for step in range(self.batches_before(seen), len(self)):
            end = (step + 1) * self.batch_size
            batch = self._batch(order[seen:end])
            seen = end
            if self.shuffle and len(batch) < 2:
                batch = torch.cat([batch, order])[:2]
            sharing = max(1, min(self.world, len(batch) // 2))
            yield batch[self.rank :: sharing].tolist() if self.rank < sharing else []

    def _batch(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows (N,) of a batch, in which every n-th goes to one process."""
        return rows

    def _order(self) -> torch.Tensor:
        if not self.shuffle:
            return torch.arange(self.count)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(self.count, generator=generator)


class ClassBatches(GlobalBatches):
    """Shuffled batches in which every class comes equally often, whatever its number of images.

    `labels` (N,) are class codes; rows with a negative one are never drawn. An epoch draws N rows, so that it
    is as long as without balancing. Classes take turns, and each goes through all its rows, in a new order
    every time, before one comes again; it goes on in the next epoch where the last one ended. Raises
    EmptyDataError where no row has a class.
    """

    def __init__(
        self, labels: NDArray[np.integer], batch_size: int, *, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(len(labels), batch_size, shuffle=True, seed=seed, rank=rank, world=world)
        self.classes = _rows_by_label(labels)

    def _order(self) -> torch.Tensor:
        turns = np.arange(self.epoch * self.count, (self.epoch + 1) * self.count)
        order = np.empty(self.count, np.int64)
        for number, rows in enumerate(self.classes):
            own = turns % len(self.classes) == number
            order[own] = self._draws(number, rows, turns[own] // len(self.classes))
        # Shuffled within each round of turns, lest a process that takes every n-th row gets one class only.
        place = np.random.default_rng((self.seed, len(self.classes), self.epoch)).random(self.count)
        return torch.from_numpy(order[np.argsort(turns // len(self.classes) + place)])

    def _draws(self, number: int, rows: NDArray[np.int64], draws: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of a class at some places, one after the other, of its endless sequence."""
        if not len(draws):
            return draws
        first, last = int(draws[0]) // len(rows), int(draws[-1]) // len(rows)
        cycles = [_permuted(rows, self.seed, number, cycle) for cycle in range(first, last + 1)]
        return np.concatenate(cycles)[draws - first * len(rows)]


class PeopleBatches(GlobalBatches):
    """Batches of `people` people with `images` images each, for losses that compare images in a batch.

    `labels` (N,) are codes of people; rows with a negative one are never drawn. Every person comes once an
    epoch; the last batch is filled up with people of the epoch's beginning. An image comes again within a
    person's only where that has fewer than `images`; over the epochs a person's images take turns. A process
    gets whole people where the number of processes divides `people`. Raises EmptyDataError where no row has
    a person, UsageError where there are fewer than `people`.
    """

    def __init__(
        self,
        labels: NDArray[np.integer],
        people: int,
        images: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.persons = _rows_by_label(labels)
        self.people, self.images = people, images
        if not 1 <= people <= len(self.persons) or images < 1:
            raise UsageError(
                f"{people} people with {images} images a batch: there are {len(self.persons)} people to draw"
            )
        batches = -(-len(self.persons) // people)
        size = people * images
        super().__init__(batches * size, size, shuffle=True, seed=seed, rank=rank, world=world)

    @property
    def total(self) -> int:
        """How many rows an epoch has, without those that fill up its last batch."""
        return len(self.persons) * self.images

    def _order(self) -> torch.Tensor:
        drawn = np.stack([self._images(number, rows) for number, rows in enumerate(self.persons)])
        generator = np.random.default_rng((self.seed, len(self.persons), self.epoch))
        people = np.resize(generator.permutation(len(self.persons)), len(self) * self.people)
        return torch.from_numpy(drawn[people].reshape(-1))

    def _batch(self, rows: torch.Tensor) -> torch.Tensor:
        # All first images of the people, then all second ones: so every n-th row belongs to the same people.
        return rows.view(-1, self.images).T.reshape(-1)

    def _images(self, number: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """A person's rows in this epoch: the next of a permutation that serves as many epochs as it can."""
        cycle, turn = divmod(self.epoch, max(1, len(rows) // self.images))
        places = np.arange(turn * self.images, (turn + 1) * self.images) % len(rows)
        return _permuted(rows, self.seed, number, cycle)[places]


def _rows_by_label(labels: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    rows = np.argsort(labels, kind="stable")
    rows = rows[labels[rows] >= 0]
    if not len(rows):
        raise EmptyDataError("no image has a known class to draw it by; check the labels")
    return np.split(rows, np.flatnonzero(np.diff(labels[rows])) + 1)


def _permuted(rows: NDArray[np.int64], *key: int) -> NDArray[np.int64]:
    return np.random.default_rng(key).permutation(rows)
