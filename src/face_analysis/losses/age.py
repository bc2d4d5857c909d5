"""The losses of age that learn a distribution or one number, and the table of all losses of age.

A distribution is a softmax over the K + 1 years 0 ... K, decoded to its expected value. One number counts
`YEARS` from `MIDDLE`, so that ages from 0 to 100 lie within +-2.5. In both no probability "older than k" can
contradict another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.losses.ordinal import (
    corn_loss,
    corn_threshold_logits,
    mean_of_known,
    ordinal_loss,
    pairs_loss,
    pairs_threshold_logits,
    threshold_logits,
)
from face_analysis.models.layers import at_least_float32
from face_analysis.zoo.card import AgeLossName

LABEL_SPREAD = 2.0
"""Years of standard deviation of the distribution that stands for a label (Gao et al. 2018)."""
MEAN_WEIGHT, VARIANCE_WEIGHT = 0.2, 0.05
"""Weights of the mean and the variance beside the cross-entropy (Pan et al. 2018)."""
MIDDLE, YEARS = 50.0, 20.0
NEAREST = 1e-6
"""How near to 0 or 1 a task's probability comes: its logit is finite, and the age right to 1e-4 years."""


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
    logs = at_least_float32(logits).log_softmax(dim=1)
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
    probabilities, years = at_least_float32(logits).softmax(dim=1), _years(logits)
    mean = (probabilities * years).sum(dim=1)
    variance = (probabilities * (years - mean[:, None]) ** 2).sum(dim=1)
    spread = MEAN_WEIGHT * (mean - ages) ** 2 / 2 + VARIANCE_WEIGHT * variance
    return mean_of_known(_cross_entropy(logits, ages) + spread, ages)


def _cross_entropy(logits: Tensor, ages: Tensor) -> Tensor:
    return F.cross_entropy(at_least_float32(logits), ages.clamp(min=0), reduction="none")


def _years(logits: Tensor) -> Tensor:
    return torch.arange(logits.shape[1], device=logits.device, dtype=torch.float32)


def l1_loss(logits: Tensor, ages: Tensor) -> Tensor:
    """Absolute error of (N, 1) logits, in units of `YEARS`, averaged over the known ages (-1: unknown)."""
    return mean_of_known(_error(logits, ages).abs(), ages)


def l2_loss(logits: Tensor, ages: Tensor) -> Tensor:
    """Squared error of (N, 1) logits, in units of `YEARS`, averaged over the known ages (-1: unknown)."""
    return mean_of_known(_error(logits, ages) ** 2, ages)


def regression_threshold_logits(logits: Tensor, tasks: int = 100) -> Tensor:
    """(N, 1) logits -> (N, tasks) logits of "older than k", whose probabilities add up to the age.

    They are 1 up to the age's whole years, 0 beyond, and the rest of a year between; ages below 0 or over
    `tasks` become these. So they cannot contradict each other, but say nothing of how sure the age is.
    """
    ages = MIDDLE + YEARS * at_least_float32(logits)
    return torch.logit((ages - torch.arange(tasks, device=ages.device)).clamp(0, 1), eps=NEAREST)


def _error(logits: Tensor, ages: Tensor) -> Tensor:
    return at_least_float32(logits)[:, 0] - (ages - MIDDLE) / YEARS


@dataclass(frozen=True)
class AgeLoss:
    """`loss` of the network's logits (N, outputs) and ages (N,) in years, -1 where unknown.

    `threshold_logits` turns the network's logits into those of "older than k" (N, 100), from which ages are
    decoded. Where the head gives tasks, the loss takes `weights` (100,) of these too. `factor` multiplies the
    loss beside the losses of other attributes, which are around 1.
    """

    loss: Callable[..., Tensor]
    threshold_logits: Callable[[Tensor], Tensor]
    factor: float = 1.0


AGE_LOSSES: dict[AgeLossName, AgeLoss] = {
    "ordinal": AgeLoss(ordinal_loss, at_least_float32, 0.1),
    "pairs": AgeLoss(pairs_loss, pairs_threshold_logits, 0.1),
    # The loss of CORAL is the same; what differs is the head, whose tasks share one vector of weights.
    "coral": AgeLoss(ordinal_loss, at_least_float32, 0.1),
    "corn": AgeLoss(corn_loss, corn_threshold_logits, 0.1),
    "dex": AgeLoss(dex_loss, threshold_logits),
    "dldl": AgeLoss(dldl_loss, threshold_logits, 0.1),
    "mean_variance": AgeLoss(mean_variance_loss, threshold_logits, 0.1),
    "l1": AgeLoss(l1_loss, regression_threshold_logits),
    "l2": AgeLoss(l2_loss, regression_threshold_logits),
}
