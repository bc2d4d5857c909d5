"""Margin heads that follow the training: a scale, margins or weights from what they have seen.

Arguments are those of `margin.py`, and `norms` (N,), those of the embeddings before they were normalised.
What a head remembers goes in and comes out, so that the functions stay pure.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from face_analysis.losses.margin import SCALE, HardNegatives, add_angular_margin, sine, with_targets

NORM_LIMITS = (0.001, 100.0)
"""What AdaFace takes for the norms of embeddings that are smaller or larger."""


def adacos_first_scale(classes: int) -> float:
    """sqrt(2) * log(C - 1), where AdaCos begins: its fixed scale, eq. 9. At least 3 classes."""
    return math.sqrt(2) * math.log(max(classes, 3) - 1)


def other_classes(cosines: Tensor, labels: Tensor, scale: Tensor) -> Tensor:
    """(N,): over the columns of classes other than a row's own, the sum of exp(scale * cos)."""
    with torch.no_grad():
        weights = torch.exp(scale * cosines)
        target = weights.gather(1, labels.clamp(min=0)[:, None])[:, 0]
        return weights.sum(dim=1) - target * (labels >= 0)


def adacos_scale(others: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """The next scale from the present one, a scalar.

    `others` (N,) are the sums of `other_classes` over all classes, `targets` (N,) the cosines of each row's
    own class. Zhang et al. 2019, AdaCos (arXiv 1905.00292), eq. 15 and 16: log of the mean of `others`, over
    the cosine of the median angle to the labelled class, at most pi / 4.
    """
    with torch.no_grad():
        angle = torch.acos(targets.clamp(-1, 1)).median()
        return (others.mean().log() / torch.cos(angle.clamp(max=math.pi / 4))).to(scale.dtype)


def adaface(
    cosines: Tensor,
    labels: Tensor,
    norms: Tensor,
    mean: Tensor,
    std: Tensor,
    margin: float = 0.4,
    concentration: float = 0.333,
    scale: float = SCALE,
) -> Tensor:
    """scale * (cos(theta + g_angle) - g_add) for the labelled class, the margins by the embedding's norm.

    Kim, Jain, Liu 2022, AdaFace (arXiv 2204.00964), eq. 9 to 11: z = (norm - mean) / (std / h), clipped to -1
    to 1; g_angle = -margin * z, g_add = margin * z + margin. `mean` and `std` are those of `running_norms`.
    Norms are clipped to NORM_LIMITS, as the authors' code does.
    """
    z = ((norms.detach().clamp(*NORM_LIMITS) - mean) / (std + 1e-3) * concentration).clamp(-1, 1)

    def change(target: Tensor) -> Tensor:
        angle = (torch.atan2(sine(target), target) - margin * z).clamp(0, math.pi)
        return torch.cos(angle) - (margin * z + margin)

    return with_targets(cosines, labels, change, scale)


def running_norms(norms: Tensor, mean: Tensor, std: Tensor, momentum: float = 0.01) -> tuple[Tensor, Tensor]:
    """Running mean and standard deviation of the embeddings' norms (N,), N at least 2 (AdaFace, eq. 12)."""
    clipped = norms.detach().clamp(*NORM_LIMITS)
    return torch.lerp(mean, clipped.mean(), momentum), torch.lerp(std, clipped.std(), momentum)


def magface(
    cosines: Tensor,
    labels: Tensor,
    norms: Tensor,
    margins: tuple[float, float] = (0.45, 0.8),
    limits: tuple[float, float] = (10.0, 110.0),
    scale: float = SCALE,
) -> Tensor:
    """ArcFace whose margin grows along a line with the embedding's norm, from `margins[0]` at `limits[0]`.

    Meng et al. 2021, MagFace (arXiv 2103.06627), eq. 3 and section 4; goes with `magface_penalty`.
    """
    a = norms.clamp(*limits)
    slope = (margins[1] - margins[0]) / (limits[1] - limits[0])
    margin = margins[0] + slope * (a - limits[0])

    def change(target: Tensor) -> Tensor:
        further = target * torch.cos(margin) - sine(target) * torch.sin(margin)
        return torch.where(target > -torch.cos(margin), further, target - margin * torch.sin(margin))

    return with_targets(cosines, labels, change, scale)


def magface_penalty(norms: Tensor, largest: float = 110.0) -> Tensor:
    """The mean of 1 / a + a / largest^2 over the norms a (N,): it draws good faces to large norms."""
    a = norms.clamp(10.0, largest)
    return (1 / a + a / largest**2).mean()


def curricularface(
    cosines: Tensor,
    labels: Tensor,
    targets: Tensor,
    progress: Tensor,
    margin: float = 0.5,
    scale: float = SCALE,
) -> Tensor:
    """ArcFace that weighs hard negatives, those with cos_j > cos(theta_y + margin), by progress + cos_j.

    `targets` (N,) are the cosines of each row's own class, wherever its column is. Huang et al. 2020,
    CurricularFace (arXiv 2004.00288), eq. 6 and 10. `progress`, a scalar, is that of `curricular_progress`.
    """
    limit = add_angular_margin(targets.detach(), margin)[:, None]
    hard = HardNegatives(limit, progress)
    return with_targets(cosines, labels, partial(add_angular_margin, margin=margin), scale, hard)


def curricular_progress(targets: Tensor, progress: Tensor, momentum: float = 0.01) -> Tensor:
    """The running mean of the cosines (N,) of each row's own class (eq. 11), a scalar."""
    return torch.lerp(progress, targets.detach().mean(), momentum)
