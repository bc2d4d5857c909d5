"""Age as a distribution over the years 0 ... K: a softmax over K + 1 logits, decoded to its expected value.

No probability "older than k" can contradict another: each is a sum over the years above k, which is what
`ordinal.tasks_of_distribution` takes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.losses.ordinal import mean_of_known
from face_analysis.models.layers import precise

LABEL_SPREAD = 2.0
"""Years of standard deviation of the distribution that stands for a label (Gao et al. 2018)."""
MEAN_SHARE, VARIANCE_SHARE = 0.2, 0.05
"""Weights of the mean and the variance beside the cross-entropy (Pan et al. 2018)."""


def dex_loss(logits: Tensor, ages: Tensor) -> Tensor:
    """Cross-entropy of (N, K + 1) logits against (N,) ages, averaged over the known ages (-1: unknown).

    Rothe, Timofte, Van Gool: Deep Expectation of Real and Apparent Age from a Single Image Without Facial
    Landmarks, IJCV 2018.
    """
    return mean_of_known(_cross_entropy(logits, ages), ages)


def dldl_loss(logits: Tensor, ages: Tensor) -> Tensor:
    """Divergence from a normal distribution about the age, and the expected value's absolute error, in years.

    `logits` (N, K + 1), `ages` (N,); averaged over the known ages (-1: unknown). KL + lambda L1 of Gao, Zhou,
    Wu, Geng: Age Estimation Using Expectation of Label Distribution Learning (DLDL-v2), IJCAI 2018, with
    lambda 1.
    """
    logs = precise(logits).log_softmax(dim=1)
    years = _years(logits)
    label = torch.softmax(-((years - ages[:, None]) ** 2) / (2 * LABEL_SPREAD**2), dim=1).to(logs)
    divergence = (torch.xlogy(label, label) - label * logs).sum(dim=1)
    error = ((logs.exp() * years).sum(dim=1) - ages).abs()
    return mean_of_known(divergence + error, ages)


def mean_variance_loss(logits: Tensor, ages: Tensor) -> Tensor:
    """Cross-entropy, the squared error of the expected value, and the variance, in years squared.

    `logits` (N, K + 1), `ages` (N,); averaged over the known ages (-1: unknown). L_s + 0.2 L_m + 0.05 L_v of
    Pan, Han, Shan, Chen: Mean-Variance Loss for Deep Age Estimation from a Face, CVPR 2018, where L_m is half
    the squared error.
    """
    shares, years = precise(logits).softmax(dim=1), _years(logits)
    mean = (shares * years).sum(dim=1)
    variance = (shares * (years - mean[:, None]) ** 2).sum(dim=1)
    spread = MEAN_SHARE * (mean - ages) ** 2 / 2 + VARIANCE_SHARE * variance
    return mean_of_known(_cross_entropy(logits, ages) + spread, ages)


def _cross_entropy(logits: Tensor, ages: Tensor) -> Tensor:
    return F.cross_entropy(precise(logits), ages.clamp(min=0), reduction="none")


def _years(logits: Tensor) -> Tensor:
    return torch.arange(logits.shape[1], device=logits.device, dtype=torch.float32)
