"""Margin heads that follow the training: a scale, margins or weights from what they have seen.

Arguments are those of `margin.py`, and `norms` (N,), the lengths of the embeddings before they were
normalised. What a head remembers goes in and comes out, so that the functions stay pure.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from face_analysis.losses.margin import SCALE, arcface, sine, with_targets


def adacos_first_scale(classes: int) -> float:
    """sqrt(2) * log(C - 1), where AdaCos begins: its fixed scale, eq. 9. At least 3 classes."""
    return math.sqrt(2) * math.log(max(classes, 3) - 1)


def adacos_scale(cosines: Tensor, labels: Tensor, scale: Tensor) -> Tensor:
    """The next scale from the present one, a scalar.

    Zhang et al. 2019, AdaCos (arXiv 1905.00292), eq. 15 and 16: log of the mean over the rows of the other
    classes' summed exp(scale * cos), over the cosine of the median angle to the labelled class, at most
    pi / 4. Of a row without a label among the columns all of these are others.
    """
    with torch.no_grad():
        here = labels >= 0
        columns = labels.clamp(min=0)[:, None]
        target = cosines.gather(1, columns)[:, 0]
        weights = torch.exp(scale * cosines)
        others = weights.sum(dim=1) - torch.where(here, torch.exp(scale * target), torch.zeros_like(target))
        angle = torch.acos(target[here].clamp(-1, 1)).median() if here.any() else torch.zeros_like(scale)
        return others.mean().log() / torch.cos(angle.clamp(max=math.pi / 4))


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
    """scale * (cos(theta + g_angle) - g_add) for the labelled class, the margins by the embedding's length.

    Kim, Jain, Liu 2022, AdaFace (arXiv 2204.00964), eq. 9 to 11: z = (norm - mean) / (std / h), clipped to -1
    to 1; g_angle = -margin * z, g_add = margin * z + margin. `mean` and `std` are those of `running_norms`.
    """
    z = ((norms.detach() - mean) / (std + 1e-3) * concentration).clamp(-1, 1)

    def change(target: Tensor) -> Tensor:
        angle = (torch.atan2(sine(target), target) - margin * z).clamp(0, math.pi)
        return torch.cos(angle) - (margin * z + margin)

    return with_targets(cosines, labels, change, scale)


def running_norms(norms: Tensor, mean: Tensor, std: Tensor, momentum: float = 0.01) -> tuple[Tensor, Tensor]:
    """Running mean and standard deviation of embedding lengths (N,), N at least 2 (AdaFace, eq. 12)."""
    lengths = norms.detach().clamp(0.001, 100)
    return torch.lerp(mean, lengths.mean(), momentum), torch.lerp(std, lengths.std(), momentum)


def magface(
    cosines: Tensor,
    labels: Tensor,
    norms: Tensor,
    margins: tuple[float, float] = (0.45, 0.8),
    lengths: tuple[float, float] = (10.0, 110.0),
    scale: float = SCALE,
) -> Tensor:
    """ArcFace whose margin grows with the embedding's length, from `margins[0]` at `lengths[0]` along a line.

    Meng et al. 2021, MagFace (arXiv 2103.06627), eq. 3 and section 4; goes with `magface_penalty`.
    """
    a = norms.clamp(*lengths)
    slope = (margins[1] - margins[0]) / (lengths[1] - lengths[0])
    margin = margins[0] + slope * (a - lengths[0])

    def change(target: Tensor) -> Tensor:
        further = target * torch.cos(margin) - sine(target) * torch.sin(margin)
        return torch.where(target > -torch.cos(margin), further, target - margin * torch.sin(margin))

    return with_targets(cosines, labels, change, scale)


def magface_penalty(norms: Tensor, longest: float = 110.0) -> Tensor:
    """The mean of 1 / a + a / longest^2 over the lengths a (N,): it draws good faces to long embeddings."""
    a = norms.clamp(10.0, longest)
    return (1 / a + a / longest**2).mean()


def curricularface(
    cosines: Tensor, labels: Tensor, progress: Tensor, margin: float = 0.5, scale: float = SCALE
) -> Tensor:
    """ArcFace that weighs hard negatives, those with cos_j > cos(theta_y + margin), by progress + cos_j.

    Huang et al. 2020, CurricularFace (arXiv 2004.00288), eq. 6 and 10. `progress`, a scalar, is that of
    `curricular_progress`. A row without a label among the columns has no hard negatives there.
    """
    plain = arcface(cosines, labels, margin, scale)
    columns = labels.clamp(min=0)[:, None]
    limit = plain.gather(1, columns).detach() / scale
    hard = (cosines > limit) & (labels >= 0)[:, None]
    hard.scatter_(1, columns, False)
    return torch.where(hard, scale * cosines * (progress + cosines), plain)


def curricular_progress(cosines: Tensor, labels: Tensor, progress: Tensor, momentum: float = 0.01) -> Tensor:
    """The running mean of the labelled classes' cosines (eq. 11), a scalar."""
    target = cosines.detach().gather(1, labels.clamp(min=0)[:, None])[:, 0]
    here = labels >= 0
    mean = (target * here).sum() / here.sum().clamp(min=1)
    return torch.lerp(progress, mean, momentum)
