"""Cross-entropy: with a weight for each class, and over classes whose columns are split over processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from face_analysis.distributed import all_reduce
from face_analysis.models.layers import at_least_float32


def frequency_weights(counts: Tensor, power: float = 1.0) -> Tensor:
    """(Largest class count / class count) ** power, (C,) float32; 0 for a class without images.

    Power 1 makes every class count the same, 0 every image.
    """
    counts = counts.to(torch.float32)
    weights = (counts.max() / counts.clamp(min=1)) ** power
    return torch.where(counts > 0, weights, torch.zeros_like(counts))


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of (N, C) logits against (N,) labels, averaged with the weight of each label's class.

    With `smoothing`, 0 to 1, that fraction of a label is spread over all classes alike (Szegedy et al. 2016,
    arXiv 1512.00567, section 7). A label of -1 is unknown and does not count; without any known label the
    loss is 0.
    """
    known = labels >= 0
    targets = labels.clamp(min=0)
    loss = F.cross_entropy(at_least_float32(logits), targets, reduction="none", label_smoothing=smoothing)
    weight = weights.to(loss)[targets] * known
    return (loss * weight).sum() / weight.sum().clamp(min=torch.finfo(torch.float32).tiny)


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
        largest = all_reduce(logits.amax(dim=1), dist.ReduceOp.MAX)
        columns, here = labels.clamp(min=0)[:, None], labels >= 0
        shifted = logits.sub_(largest[:, None])
        target = all_reduce(
            shifted.gather(1, columns)[:, 0] * here
        )  # its exponential may be too small a number
        probabilities = shifted.exp_()
        sums = all_reduce(probabilities.sum(dim=1))
        probabilities.div_(sums[:, None])
        ctx.save_for_backward(probabilities, columns, here)
        return (sums.log() - target).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        probabilities, columns, here = ctx.saved_tensors
        probabilities.scatter_add_(1, columns, -here.to(probabilities.dtype)[:, None])
        return probabilities.mul_(gradient / len(probabilities)), None
