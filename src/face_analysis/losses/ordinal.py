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


def age_ranks(logits: Tensor) -> Tensor:
    """(N, K) logits -> (N, K + 1) float64: for each age a = 0 ... K, P(age < a) + P(age = a) / 2.

    Rises with a from about 0 to about 1; 0.5 is the middle of the predicted distribution. Where the tasks
    contradict each other, a task counts at most as much as those before it.
    """
    older = torch.sigmoid(logits.double()).cummin(dim=1).values
    below = F.pad(F.pad(1 - older, (1, 0)), (0, 1), value=1.0)
    return (below[:, :-1] + below[:, 1:]) / 2


def counted_age(logits: Tensor) -> Tensor:
    """(N, K) logits -> (N,) int64: how many tasks have a probability over 0.5, as the original decodes."""
    return (logits > 0).sum(dim=1)
