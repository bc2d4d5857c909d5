"""Age as one number: the logit counts `YEARS` from `MIDDLE`, so that ages from 0 to 100 lie within +-2.5."""

from __future__ import annotations

import torch
from torch import Tensor

from face_analysis.losses.ordinal import mean_of_known
from face_analysis.models.layers import precise

MIDDLE, YEARS = 50.0, 20.0
NEAREST = 1e-6
"""How near to 0 or 1 a task's probability comes: its logit is finite, and the age right to 1e-4 years."""


def l1_loss(logits: Tensor, ages: Tensor) -> Tensor:
    """Absolute error of (N, 1) logits, in units of `YEARS`, averaged over the known ages (-1: unknown)."""
    return mean_of_known(_error(logits, ages).abs(), ages)


def l2_loss(logits: Tensor, ages: Tensor) -> Tensor:
    """Squared error of (N, 1) logits, in units of `YEARS`, averaged over the known ages (-1: unknown)."""
    return mean_of_known(_error(logits, ages) ** 2, ages)


def regression_tasks(logits: Tensor, tasks: int = 100) -> Tensor:
    """(N, 1) logits -> (N, tasks) logits of "older than k", whose probabilities add up to the age.

    They are 1 up to the age's whole years, 0 beyond, and the rest of a year between; ages below 0 or over
    `tasks` become these. So they cannot contradict each other, but say nothing of how sure the age is.
    """
    ages = MIDDLE + YEARS * precise(logits)
    return torch.logit((ages - torch.arange(tasks, device=ages.device)).clamp(0, 1), eps=NEAREST)


def _error(logits: Tensor, ages: Tensor) -> Tensor:
    return precise(logits)[:, 0] - (ages - MIDDLE) / YEARS
