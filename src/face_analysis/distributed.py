"""What processes that train together exchange; each of these is the identity where there is but one."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

T = TypeVar("T")


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if _together() else 0


def all_reduce(values: Tensor, operation: Any = dist.ReduceOp.SUM) -> Tensor:
    """`values` in place, reduced over all processes, without a gradient."""
    if world_size() > 1:
        dist.all_reduce(values, operation)
    return values


def all_reduce_sum(values: Tensor) -> Tensor:
    """The sum over all processes; gradients are summed in the same way."""
    result: Tensor = _Summed.apply(values) if world_size() > 1 else values  # type: ignore[no-untyped-call]
    return result


def all_gather_rows(rows: Tensor) -> Tensor:
    """(N, ...) -> the rows of all processes, in their order; their numbers N may differ.

    The gradient of a process's own rows is the sum of what all processes have of it, times their number: they
    then average the gradients of the weights, which are to be sums.
    """
    result: Tensor = _Gathered.apply(rows) if world_size() > 1 else rows  # type: ignore[no-untyped-call]
    return result


def broadcast_from_rank0(value: T) -> T:
    """The value of the first process, in every process."""
    values = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values)
    return values[0]


def all_gather_objects(value: T) -> list[T]:
    """What every process has, in their order."""
    values = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values


def replicated_loss(loss: Tensor) -> Tensor:
    """The loss of all gathered rows, which every process computes; its gradient counts once in all."""
    part = loss / world_size()
    return part + (loss - part).detach()


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return all_reduce(values.clone())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return all_reduce(gradient.clone())


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        counts = torch.zeros(world_size(), dtype=torch.int64, device=rows.device)
        counts[rank()] = len(rows)
        ctx.counts = all_reduce(counts).tolist()
        longest = max(ctx.counts)
        padded = torch.cat([rows, rows.new_zeros(longest - len(rows), *rows.shape[1:])])
        parts = [torch.empty_like(padded) for _ in ctx.counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, ctx.counts, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        own = torch.split(all_reduce(gradient.contiguous().clone()), ctx.counts)[rank()]
        return own * len(ctx.counts)
