"""The weight vectors of the classes of a recognition training: split over processes, sampled in each step.

An et al. 2021 and 2022, Partial FC (arXiv 2010.05222 and 2203.15565).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.sgd import sgd

from face_analysis.distributed import rank, world_size
from face_analysis.training.draws import Draws

FIRST_NORM = 0.01 * 512**0.5
"""The norm of fresh weights, drawn as published: N(0, 0.01^2) in 512 dimensions. Larger ones turn slower."""
DRAWN_AT_ONCE = 1024


class Sample(NamedTuple):
    """Weights (S, K, D) that a step uses, a leaf for its gradient, of the classes `rows` (S,); None: all."""

    weights: Tensor
    rows: Tensor | None


class ClassWeights(nn.Module):
    """This process's part of `classes` classes, each with `subcentres` weight vectors of `size` numbers.

    A step takes the weights of all classes of its batch and, at a `rate` below 1, only so many of the others
    that the fraction `rate` of this process's classes is reached, or the number of the batch's images where
    that is larger. Only these are moved and decayed, by SGD with a momentum of their own: neither an
    optimiser nor the exchange of gradients sees them, so nothing of the size of all classes is made in a
    step. Weights are drawn by class, the same over any number of processes. No step waits for the device.
    """

    weights: Tensor
    momenta: Tensor

    def __init__(
        self, classes: int, size: int, *, rate: float = 1.0, subcentres: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        self.classes, self.rate, self.seed = classes, rate, seed
        self.own = classes_of(classes, rank(), world_size())
        weights = torch.empty(len(self.own), subcentres, size)
        for first in range(0, classes, DRAWN_AT_ONCE):
            _draw(weights, self.own, first, min(first + DRAWN_AT_ONCE, classes), seed)
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("momenta", torch.zeros_like(weights), persistent=False)
        self._used: list[Sample] = []

    def own_labels(self, labels: Tensor) -> Tensor:
        """Class codes (N,) -> rows of this process's weights, -1 for classes of others."""
        here = (labels >= self.own.start) & (labels < self.own.stop)
        return torch.where(here, labels - self.own.start, -1)

    def sample(self, labels: Tensor, step: int) -> tuple[Sample, Tensor]:
        """The weights for a step of rows (N,) of `own_labels`, and the labels as rows of these.

        Which others are drawn follows from (seed, step, process).
        """
        if (
            self.rate >= 1 and self._used
        ):  # of an earlier part of this step: their gradients add up in one place
            return self._used[0], labels
        if self.rate >= 1:
            sample = Sample(self.weights.detach().requires_grad_(), None)
        else:
            rows = self._drawn(labels, step)
            sample = Sample(self.weights[rows].requires_grad_(), rows)
            labels = torch.where(labels >= 0, torch.searchsorted(rows, labels.clamp(min=0)), -1)
        self._used.append(sample)
        return sample, labels

    def _drawn(self, labels: Tensor, step: int) -> Tensor:
        own = len(self.own)
        count = max(round(self.rate * own), min(own, len(labels)))  # known without the labels' values
        process = torch.full((1,), rank(), device=labels.device)
        draw = Draws(self.seed, step, process).uniform("classes", own + 1)[0]
        draw.scatter_(0, torch.where(labels >= 0, labels, own), 2.0)  # those of other processes come last
        return draw[:own].topk(count, sorted=False).indices.sort().values

    @property
    def used(self) -> list[Tensor]:
        """The weights used since the last update, leaves that get gradients."""
        return [sample.weights for sample in self._used]

    @torch.no_grad()
    def update(self, lr: float, momentum: float, weight_decay: float, overflow: Tensor | None = None) -> None:
        """One step of SGD on the weights used since the last one, each by the sum of its gradients.

        Where `overflow`, one number on the device, is 1 nothing moves.
        """
        used, self._used = self._used, []
        used = [sample for sample in used if sample.weights.grad is not None]
        if not used:
            return
        rows, gradient = _summed_gradient(used)
        weights = self.weights if rows is None else self.weights[rows]
        momenta = self.momenta if rows is None else self.momenta[rows]
        sgd(
            [weights],
            [gradient],
            [momenta],
            fused=True,  # which alone can leave a step out without the host
            found_inf=overflow,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        if rows is not None:
            self.weights[rows], self.momenta[rows] = weights, momenta

    def whole(self) -> dict[str, Tensor]:
        """`centres`, the weights, and `momenta` (classes, K, D) of all processes, on the CPU of the first."""
        return {"centres": self._collected(self.weights), "momenta": self._collected(self.momenta)}

    def _collected(self, own: Tensor) -> Tensor:
        if world_size() == 1:
            return own.detach().cpu().clone()
        parts = []
        for process in range(world_size()):
            part_of_it = classes_of(self.classes, process, world_size())
            part = own.clone() if process == rank() else own.new_empty(len(part_of_it), *own.shape[1:])
            dist.broadcast(part, process)
            if rank() == 0:
                parts.append(part.cpu())
        return torch.cat(parts) if parts else torch.empty(0)

    def load_whole(self, state: dict[str, Tensor]) -> None:
        """Take this process's part of what `whole` gave in any number of processes."""
        for own, name in ((self.weights, "centres"), (self.momenta, "momenta")):
            own.copy_(state[name][self.own.start : self.own.stop])


def classes_of(classes: int, process: int, processes: int) -> range:
    """Which classes a process has: as many as any other, or one more in the first ones."""
    each, left = divmod(classes, processes)
    start = process * each + min(process, left)
    return range(start, start + each + (process < left))


@dataclass(frozen=True)
class HeadMemory:
    """What `classes` classes take in each process, in bytes.

    It has `own` classes, of which a step uses `used`: their `weights` and momenta, their `gradient`, and a
    batch's `logits`.
    """

    classes: int
    size: int
    own: int
    used: int
    weights: int
    gradient: int
    logits: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradient + self.logits

    @property
    def text(self) -> str:
        """All of it in words."""
        total, weights, gradient, logits = (
            f"{number / 2**20:,.0f}" for number in (self.total, self.weights, self.gradient, self.logits)
        )
        return (
            f"{self.classes:,} classes of {self.size} numbers, {self.own:,} a process, {self.used:,} used a "
            f"step: {total} MiB (weights and momenta {weights}, gradient {gradient}, logits {logits})"
        )


def head_memory(classes: int, size: int, batch: int, rate: float, subcentres: int) -> HeadMemory:
    """The memory of a head over this run's processes, whose passes have `batch` images in all."""
    own = len(classes_of(classes, 0, world_size()))
    used = min(own, round(rate * own) + batch)
    numbers = 4 * subcentres
    gradient = used * size * numbers * (1 if rate >= 1 else 2)
    return HeadMemory(
        classes, size, own, used, 2 * own * size * numbers, gradient, 3 * used * batch * numbers
    )


def _draw(weights: Tensor, own: range, first: int, last: int, seed: int) -> None:
    """Fill the rows of the classes `first` to `last` - 1 that are among `own`."""
    start, stop = max(first, own.start), min(last, own.stop)
    if start >= stop:
        return
    generator = torch.Generator().manual_seed(seed * 1_000_003 + first)
    drawn = torch.empty(last - first, *weights.shape[1:])
    drawn.normal_(std=FIRST_NORM / weights.shape[2] ** 0.5, generator=generator)
    weights[start - own.start : stop - own.start] = drawn[start - first : stop - first]


def _summed_gradient(used: list[Sample]) -> tuple[Tensor | None, Tensor]:
    gradients = [sample.weights.grad for sample in used if sample.weights.grad is not None]
    if len(used) == 1:
        return used[0].rows, gradients[0]
    rows = torch.cat([sample.rows for sample in used if sample.rows is not None])
    # A class of several parts stays in several rows, each with the sum: to join them, the host would wait.
    places = torch.searchsorted(rows.sort().values, rows)
    gradient = torch.cat(gradients)
    return rows, torch.zeros_like(gradient).index_add_(0, places, gradient)[places]
