"""Age by binary tasks "older than k", in the forms of three papers beside that of `ordinal.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.losses.ordinal import ordinal_loss, tasks_of_distribution
from face_analysis.models.layers import precise


def pairs_loss(logits: Tensor, ages: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of a softmax over each task's two outputs, summed over the tasks, as `ordinal_loss`.

    `logits` (N, 2 K) are two a task, "not older than k" and "older than k". Nothing keeps the tasks from
    contradicting each other. Niu, Zhou, Wang, Gao, Hua: Ordinal Regression with Multiple Output CNN for Age
    Estimation, CVPR 2016, eq. 2.
    """
    return ordinal_loss(pairs_tasks(logits), ages, weights)


def pairs_tasks(logits: Tensor) -> Tensor:
    """(N, 2 K) logits -> (N, K): the softmax over two outputs is the sigmoid of their difference."""
    logits = precise(logits)
    return logits[:, 1::2] - logits[:, ::2]


def corn_loss(logits: Tensor, ages: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of the tasks "older than k, if at least k", each over the images it applies to.

    `logits` (N, K). Summed over the tasks and averaged over the known ages, as `ordinal_loss`; the paper
    divides by the number of pairs of image and task, which only scales it. The tasks cannot contradict each
    other: `corn_tasks` multiplies their probabilities. Shi, Cao, Raschka: Deep Neural Networks for
    Rank-Consistent Ordinal Regression Based on Conditional Probabilities, 2021, arXiv 2111.08851.
    """
    applies = (ages[:, None] >= torch.arange(logits.shape[1], device=ages.device)).to(torch.float32)
    return ordinal_loss(logits, ages, applies if weights is None else applies * weights.to(applies))


def corn_tasks(logits: Tensor) -> Tensor:
    """(N, K) logits of conditional tasks -> (N, K) of "older than k": the product of the first k + 1."""
    logits = precise(logits)
    older = F.logsigmoid(logits).cumsum(dim=1)
    exactly = F.pad(older, (1, 0))[:, :-1] + F.logsigmoid(-logits)
    return tasks_of_distribution(torch.cat([exactly, older[:, -1:]], dim=1))
