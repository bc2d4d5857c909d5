"""Age by ordinal regression: one binary task "older than k" for every k = 0 ... K - 1, in four forms.

Niu, Zhou, Wang, Gao, Hua: Ordinal Regression with Multiple Output CNN for Age Estimation, CVPR 2016.
There each task has two softmax outputs and a weight from the label's frequency (eq. 2 and 3), and the
age is one plus the number of tasks that answer yes (eq. 1). In `ordinal_loss` each task is one sigmoid, tasks
weigh the same unless weights are given, and since ages start at 0 the age is that number itself.

Every loss of age comes with a function that turns the network's outputs into threshold logits: the logits
(N, K) of "older than k". Every age is decoded from these.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.models.layers import at_least_float32


def ordinal_targets(ages: Tensor, thresholds: int) -> Tensor:
    """(N,) ages in years -> (N, thresholds) float32, 1 where the age is over k."""
    return (ages[:, None] > torch.arange(thresholds, device=ages.device)).to(torch.float32)


def ordinal_loss(logits: Tensor, ages: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of (N, K) logits, summed over the tasks, averaged over the known ages.

    An age of -1 is unknown and does not count; without any known age the loss is 0. `weights` (K,) or (N, K)
    multiply the tasks. Nothing keeps the tasks from contradicting each other.
    """
    logits = at_least_float32(logits)
    targets = ordinal_targets(ages, logits.shape[1]).to(logits)
    weights = None if weights is None else weights.to(logits)
    loss = F.binary_cross_entropy_with_logits(logits, targets, weights, reduction="none").sum(dim=1)
    return mean_of_known(loss, ages)


def task_weights(counts: Tensor) -> Tensor:
    """(K + 1,) images of each age 0 ... K -> (K,) float32 weights of the tasks, at most 1.

    sqrt(M_k) / max sqrt(M), where M_k is the larger of the numbers of images older than k and not older
    (Cao, Mirjalili, Raschka 2020, arXiv 1901.07884, on task importance): a task that is hard to tell from
    chance counts less.
    """
    younger = counts.to(torch.float32).cumsum(0)
    majority = torch.maximum(younger, younger[-1] - younger)[:-1]
    return (majority / majority.max().clamp(min=1)).sqrt()


def mean_of_known(losses: Tensor, ages: Tensor) -> Tensor:
    """The mean of losses (N,) over the images whose age (N,) is not -1; 0 where there is none."""
    known = ages >= 0
    return (losses * known).sum() / known.sum().clamp(min=1)


def threshold_logits(masses: Tensor) -> Tensor:
    """(N, K + 1) log probabilities of ages, plus any constant -> (N, K) logits of "older than k"."""
    masses = at_least_float32(masses)
    younger = masses.logcumsumexp(dim=1)[:, :-1]
    older = masses.flip(1).logcumsumexp(dim=1).flip(1)[:, 1:]
    return older - younger


def expected_age(logits: Tensor) -> Tensor:
    """(N, K) logits -> (N,) expected age in years: the sum of the probabilities "older than k"."""
    return torch.sigmoid(at_least_float32(logits)).sum(dim=1)


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


def pairs_loss(logits: Tensor, ages: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of a softmax over each task's two outputs, summed over the tasks, as `ordinal_loss`.

    `logits` (N, 2 K) are two a task, "not older than k" and "older than k". Nothing keeps the tasks from
    contradicting each other. Niu, Zhou, Wang, Gao, Hua: Ordinal Regression with Multiple Output CNN for Age
    Estimation, CVPR 2016, eq. 2.
    """
    return ordinal_loss(pairs_threshold_logits(logits), ages, weights)


def pairs_threshold_logits(logits: Tensor) -> Tensor:
    """(N, 2 K) logits -> (N, K): the softmax over two outputs is the sigmoid of their difference."""
    logits = at_least_float32(logits)
    return logits[:, 1::2] - logits[:, ::2]


def corn_loss(logits: Tensor, ages: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of the tasks "older than k, if at least k", each over the images it applies to.

    `logits` (N, K). Summed over the tasks and averaged over the known ages, as `ordinal_loss`; the paper
    divides by the number of pairs of image and task, which only scales it. The tasks cannot contradict each
    other: `corn_threshold_logits` multiplies their probabilities. Shi, Cao, Raschka: Deep Neural Networks for
    Rank-Consistent Ordinal Regression Based on Conditional Probabilities, 2021, arXiv 2111.08851.
    """
    applies = (ages[:, None] >= torch.arange(logits.shape[1], device=ages.device)).to(torch.float32)
    return ordinal_loss(logits, ages, applies if weights is None else applies * weights.to(applies))


def corn_threshold_logits(logits: Tensor) -> Tensor:
    """(N, K) logits of conditional tasks -> (N, K) of "older than k": the product of the first k + 1."""
    logits = at_least_float32(logits)
    older = F.logsigmoid(logits).cumsum(dim=1)
    exactly = F.pad(older, (1, 0))[:, :-1] + F.logsigmoid(-logits)
    return threshold_logits(torch.cat([exactly, older[:, -1:]], dim=1))
