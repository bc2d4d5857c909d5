"""Random numbers that belong to an image, in whatever batch, process or part of a run it comes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - 2**64
FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
SHIFTS = (30, 27, 31)
BITS = 24
"""Random bits of a float32 number below 1: each is exact and none is rounded up to 1."""


@dataclass(frozen=True)
class Draws:
    """Random numbers for the images whose rows in their source are `indices` (N,), int64.

    They follow from (seed, turn, index) and from what they are drawn for alone; `turn` tells apart the times
    that an image is seen. Made on the device of `indices`, the same numbers on each.
    """

    seed: int
    turn: int
    indices: Tensor

    def __getitem__(self, chosen: Tensor) -> Draws:
        """Those of some images, by their places in the batch."""
        return replace(self, indices=self.indices[chosen])

    def uniform(self, purpose: str, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(N, count) float32 numbers, from `low` up to `high`, a row an image."""
        start = torch.zeros_like(self.indices)
        for word in (self.seed, self.turn, zlib.crc32(purpose.encode()), self.indices):
            start = splitmix64(start ^ word, 1)[:, 0]
        units = _shifted(splitmix64(start, count), 64 - BITS).to(torch.float32) / 2**BITS
        numbers: Tensor = low + (high - low) * units
        return numbers


def splitmix64(start: Tensor, count: int) -> Tensor:
    """(N, count) int64: the first numbers of the SplitMix64 sequences that begin with the states (N,), int64.

    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014, with the constants of
    Stafford's variant 13. Its 64-bit words are held as int64, whose products wrap around just the same.
    """
    bits = start[:, None] + GOLDEN * torch.arange(1, count + 1, device=start.device)
    for shift, factor in zip(SHIFTS, FACTORS, strict=False):
        bits = (bits ^ _shifted(bits, shift)) * factor
    return bits ^ _shifted(bits, SHIFTS[-1])


def _shifted(bits: Tensor, places: int) -> Tensor:
    """To the right, with zeros moving in: `>>` of int64 moves in the sign."""
    return (bits >> places) & ((1 << (64 - places)) - 1)
