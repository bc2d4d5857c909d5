"""Cross-entropy over classes whose columns are split over processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from face_analysis.losses.processes import reduced


def split_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of the same N rows in every process, each with its own columns of the logits.

    `logits` (N, C) are overwritten. `labels` (N,) are columns of this process, or -1 for rows whose class is
    another's. All processes get the same loss; the gradient is that of their own columns. Without a process
    group it is ordinary cross-entropy. An et al. 2021, Partial FC (arXiv 2010.05222), section 3.1.
    """
    result: Tensor = _SplitCrossEntropy.apply(logits, labels)  # type: ignore[no-untyped-call]
    return result


class _SplitCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        largest = reduced(logits.amax(dim=1), dist.ReduceOp.MAX)
        shares = logits.sub_(largest[:, None]).exp_()
        columns = labels.clamp(min=0)[:, None]
        sums = reduced(shares.sum(dim=1))
        shares.div_(sums[:, None])
        here = labels >= 0
        target = reduced(shares.gather(1, columns)[:, 0] * here)
        ctx.save_for_backward(shares, columns, here)
        return -target.clamp(min=torch.finfo(target.dtype).tiny).log().mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        shares, columns, here = ctx.saved_tensors
        shares.scatter_add_(1, columns, -here.to(shares.dtype)[:, None])
        return shares.mul_(gradient / len(shares)), None
