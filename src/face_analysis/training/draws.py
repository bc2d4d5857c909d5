"""Random numbers that belong to an image, in whatever batch, process or part of a run it comes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Words = TypeVar("Words", Tensor, NDArray[np.int64])

GOLDEN = 0x9E3779B97F4A7C15 - 2**64
FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
SHIFTS = (30, 27, 31)
BITS = 24
"""Random bits of a float32 number below 1: each is exact and none is rounded up to 1."""


@dataclass(frozen=True)
class Draws:
    """Random numbers for the images whose rows in their source are `indices` (N,), int64.

    They follow from (seed, turn, index) and from what they are drawn for alone; `turn` tells apart the times
    that an image is seen. Made on the device of `indices`, the same numbers on each. `rows` are the indices
    in the host's memory; they are needed where `indices` are on a GPU and the host has to know a number.
    """

    seed: int
    turn: int
    indices: Tensor
    rows: NDArray[np.int64] | None = None

    def __getitem__(self, chosen: Tensor) -> Draws:
        """Those of some images, by their places in the batch; the places are in the host's memory."""
        indices = self.indices[sent(chosen, self.indices.device)]
        return Draws(self.seed, self.turn, indices, self._rows[chosen.numpy()])

    def uniform(self, purpose: str, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(N, count) float32 numbers, from `low` up to `high`, a row an image."""
        units = self._units(self.indices, purpose, count).to(torch.float32) / 2**BITS
        numbers: Tensor = low + (high - low) * units
        return numbers

    def on_host(self, purpose: str, count: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float32]:
        """The numbers of `uniform`, in the host's memory."""
        units = self._units(self._rows, purpose, count).astype(np.float32) / np.float32(2**BITS)
        return np.float32(low) + np.float32(high - low) * units

    @property
    def _rows(self) -> NDArray[np.int64]:
        return self.indices.numpy() if self.rows is None else self.rows

    def _units(self, indices: Words, purpose: str, count: int) -> Words:
        """(N, count) whole numbers below 2^BITS."""
        start = indices[:1] ^ indices[:1]  # 0, where there are images
        for word in (self.seed, self.turn, zlib.crc32(purpose.encode()), indices):
            start = splitmix64(start ^ word, 1)[:, 0]
        return _shifted(splitmix64(start, count), 64 - BITS)


def splitmix64(start: Words, count: int) -> Words:
    """(N, count) int64: the first numbers of the SplitMix64 sequences that begin with the states (N,), int64.

    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014, with the constants of
    Stafford's variant 13. Its 64-bit words are held as int64, whose products wrap around just the same.
    """
    if isinstance(start, Tensor):
        numbers = torch.arange(1, count + 1, device=start.device)
    else:
        numbers = np.arange(1, count + 1, dtype=np.int64)
    bits: Words = start[:, None] + GOLDEN * numbers
    for shift, factor in zip(SHIFTS, FACTORS, strict=False):
        bits = (bits ^ _shifted(bits, shift)) * factor
    return bits ^ _shifted(bits, SHIFTS[-1])


def _shifted(bits: Words, places: int) -> Words:
    """To the right, with zeros moving in: `>>` of int64 moves in the sign."""
    return (bits >> places) & ((1 << (64 - places)) - 1)


def sent(values: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host's memory on the device; the host does not wait until it is there."""
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)
