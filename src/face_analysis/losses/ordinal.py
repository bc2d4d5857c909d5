"""Age by ordinal regression: one binary task "older than k" for every k = 0 ... K - 1.

Niu, Zhou, Wang, Gao, Hua: Ordinal Regression with Multiple Output CNN for Age Estimation, CVPR 2016.
There each task has two softmax outputs and a weight from the label's frequency (eq. 2 and 3), and the
age is one plus the number of tasks that answer yes (eq. 1). Here each task is one sigmoid, all
tasks weigh the same, and since ages start at 0 the age is that number itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_VARIANCE = 1.0
"""Of an age, in square years."""


def ordinal_targets(ages: Tensor, thresholds: int) -> Tensor:
    """(N,) ages in years -> (N, thresholds) float32, 1 where the age is over k."""
    return (ages[:, None] > torch.arange(thresholds, device=ages.device)).to(torch.float32)


def ordinal_loss(logits: Tensor, ages: Tensor) -> Tensor:
    """Binary cross-entropy of (N, K) logits, summed over the tasks, averaged over the known ages.

    An age of -1 is unknown and does not count; without any known age the loss is 0.
    """
    known = ages >= 0
    targets = ordinal_targets(ages, logits.shape[1])
    loss = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none").sum(dim=1)
    return (loss * known).sum() / known.sum().clamp(min=1)


def expected_age(logits: Tensor) -> Tensor:
    """(N, K) logits -> (N,) expected age in years: the sum of the probabilities "older than k"."""
    return torch.sigmoid(logits.float()).sum(dim=1)


def age_spread(logits: Tensor) -> Tensor:
    """(N, K) logits -> (N,) float32 standard deviation of the predicted age in years, at least 1.

    With p_k the probability "older than k", E[age] = sum p_k and E[age^2] = sum (2 k + 1) p_k, which is exact
    where p_k falls with k, and larger where the tasks contradict each other.
    """
    older = torch.sigmoid(logits.float())
    squares = 2 * torch.arange(logits.shape[1], device=logits.device) + 1
    variance = (squares * older).sum(dim=1) - older.sum(dim=1).square()
    # Ages are told in whole years, so none is sure to less; and errors would be divided by a spread near 0.
    return variance.clamp(min=MIN_VARIANCE).sqrt()


def counted_age(logits: Tensor) -> Tensor:
    """(N, K) logits -> (N,) int64: how many tasks have a probability over 0.5, as the original decodes."""
    return (logits > 0).sum(dim=1)
