"""What processes that train together exchange; each of these is the identity where there is but one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


def all_gather_rows(rows: Tensor, counts: Sequence[int]) -> Tensor:
    """(N, ...) -> the rows of all processes, in their order.

    `counts` are the numbers N of all processes, in the host's memory, so that none waits for its device. The
    gradient of a process's own rows is the sum of what all processes have of it, times their number: they
    then average the gradients of the weights, which are to be sums.
    """
    result: Tensor = _Gathered.apply(rows, counts) if world_size() > 1 else rows  # type: ignore[no-untyped-call]
    return result


def begin_gather_count(count: int) -> Callable[[], tuple[int, ...]]:
    """Begin to tell all processes a number; gives what waits for those of all, in their order."""
    if world_size() == 1:
        return lambda: (count,)
    counts = [torch.empty(1, dtype=torch.int64) for _ in range(world_size())]
    work = dist.all_gather(counts, torch.tensor([count]), async_op=True)

    def gathered() -> tuple[int, ...]:
        work.wait()
        return tuple(int(each) for each in counts)

    return gathered


def all_reduce_largest(*numbers: int) -> list[int]:
    """The largest of each number over all processes, in one message."""
    if world_size() == 1:
        return list(numbers)
    return all_reduce(torch.tensor(numbers), dist.ReduceOp.MAX).tolist()


def broadcast_from_rank0(value: T) -> T:
    """The value of the first process, in every process."""
    values = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values)
    return values[0]


def broadcast_tensors_from_rank0(tensors: Iterable[Tensor]) -> None:
    """Give every process the numbers that the first process has in these, in place."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


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
    def forward(ctx: Any, rows: Tensor, counts: Sequence[int]) -> Tensor:
        ctx.counts = list(counts)
        padded = torch.cat([rows, rows.new_zeros(max(counts) - len(rows), *rows.shape[1:])])
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        own = torch.split(all_reduce(gradient.contiguous().clone()), ctx.counts)[rank()]
        return own * len(ctx.counts), None
