"""The order in which a run sees its images, defined for all processes together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class GlobalBatches(Sampler[list[int]]):
    """Yields a list of row indices a step: this process's share of the global batch.

    The order follows from (seed, epoch) alone, so it depends neither on the number of processes nor on where
    a run was cut. When shuffled, the last batch is filled up from the epoch's beginning if fewer than two
    rows would be left for a process, since batch norm cannot learn from one.
    """

    def __init__(
        self, count: int, batch_size: int, *, shuffle: bool, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.count, self.batch_size, self.shuffle, self.seed = count, batch_size, shuffle, seed
        self.rank, self.world = rank, world
        self.epoch = 0
        self.start = 0

    @property
    def sampler(self) -> GlobalBatches:
        """Itself: where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives the order of."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order()
        first, self.start = self.start, 0
        for step in range(first, len(self)):
            batch = order[step * self.batch_size : (step + 1) * self.batch_size]
            if self.shuffle and len(batch) < 2 * self.world:
                batch = torch.cat([batch, order])[: 2 * self.world]
            yield batch[self.rank :: self.world].tolist()

    def _order(self) -> torch.Tensor:
        if not self.shuffle:
            return torch.arange(self.count)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(self.count, generator=generator)
