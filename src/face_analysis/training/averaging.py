"""A running average of the weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """After each step: average = decay * average + (1 - decay) * weights.

    The average starts as the weights after the first step, and takes in the statistics of batch norms; whole
    numbers, such as counts of batches, are those of the weights. It lies on the network's device.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights: dict[str, Tensor] = {
            **dict(network.named_parameters()),
            **dict(network.named_buffers()),
        }
        self._average: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        if not self._average:
            self._average = {name: weight.detach().clone() for name, weight in self._weights.items()}
            return
        floating = [name for name, weight in self._weights.items() if weight.is_floating_point()]
        averages = [self._average[name] for name in floating]
        # Interpolation leaves frozen weights as they are, where a sum of two products would round.
        torch._foreach_lerp_(averages, [self._weights[name].detach() for name in floating], 1 - self.decay)
        for name, weight in self._weights.items():
            if not weight.is_floating_point():
                self._average[name].copy_(weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the average while the block runs; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, average in self._average.items():
            weight = self._weights[name]
            weight.data, self._average[name] = average, weight.data

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """The average by the names of the network's weights; empty before the first step."""
        return {f"{prefix}{name}": average for name, average in self._average.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], prefix: str) -> None:
        """Go on from a saved average."""
        self._average = {
            name: state[f"{prefix}{name}"].to(weight.device).clone(memory_format=torch.preserve_format)
            for name, weight in self._weights.items()
        }
