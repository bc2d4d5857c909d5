"""Margin heads of face recognition: from embeddings to cosines, and on to the logits of cross-entropy.

All heads take `cosines` (N, C) between N embeddings and the weight vectors of C classes, float32 or float64
in -1 to 1, and `labels` (N,): the class of each row, or -1 where its class is not among these columns, as
when classes are split over processes. They give logits (N, C), and let gradients stay finite at cosines of 1
and -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SMALLEST_NORM = 1e-12
SCALE = 64.0
SMALL = 1e-6
"""Below this squared sine the gradient of its root stays what it is here."""


def cosines(embeddings: Tensor, class_weights: Tensor) -> Tensor:
    """(N, D) embeddings of norm 1 and (C, D) class weights of any norm -> their cosines (N, C).

    The products are divided by the norms of the weight vectors, where the textbook normalises these first:
    for a million classes that copy and its gradient take several gigabytes.
    """
    result: Tensor = _Cosines.apply(embeddings, class_weights)  # type: ignore[no-untyped-call]
    return result


class _Cosines(torch.autograd.Function):
    """cos = x W' / |w|; its gradient in w is (x - cos * w / |w|) / |w|."""

    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, class_weights: Tensor) -> Tensor:
        inverse = class_weights.norm(dim=1).clamp(min=SMALLEST_NORM).reciprocal()
        result = (embeddings @ class_weights.T).mul_(inverse)
        ctx.save_for_backward(embeddings, class_weights, inverse, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        embeddings, class_weights, inverse, result = ctx.saved_tensors
        along = torch.linalg.vecdot(gradient, result, dim=0).mul_(inverse.square())
        scaled = gradient * inverse
        to_class_weights = scaled.T @ embeddings
        return scaled @ class_weights, to_class_weights.addcmul_(class_weights, along[:, None], value=-1)


def softmax_logits(cosines: Tensor, labels: Tensor, scale: float = SCALE) -> Tensor:
    """scale * cos: softmax on normalised embeddings and class weights, without a margin.

    Wang et al. 2017, NormFace (arXiv 1704.06369), eq. 6.
    """
    return cosines * scale


def arcface(cosines: Tensor, labels: Tensor, margin: float = 0.5, scale: float = SCALE) -> Tensor:
    """scale * cos(theta + margin) for the labelled class.

    Deng, Guo, Xue, Zafeiriou 2019 (arXiv 1801.07698), eq. 3. Past theta = pi - margin, where the cosine would
    rise again, a line goes on downwards: cos(theta) - margin * sin(margin).
    """
    return with_targets(cosines, labels, partial(add_angular_margin, margin=margin), scale)


def add_angular_margin(target: Tensor, margin: float) -> Tensor:
    """cos(theta + margin) of cos(theta), and past theta = pi - margin the line of `arcface`."""
    further = target * math.cos(margin) - sine(target) * math.sin(margin)
    return torch.where(target > -math.cos(margin), further, target - margin * math.sin(margin))


def cosface(cosines: Tensor, labels: Tensor, margin: float = 0.35, scale: float = SCALE) -> Tensor:
    """scale * (cos(theta) - margin) for the labelled class.

    Wang et al. 2018 (arXiv 1801.09414), eq. 4.
    """
    return with_targets(cosines, labels, lambda target: target - margin, scale)


def sphereface(cosines: Tensor, labels: Tensor, margin: float = 1.35, scale: float = SCALE) -> Tensor:
    """scale * psi(theta) for the labelled class; psi falls all the way to theta = pi.

    psi = (-1)^k cos(margin * theta) - 2k with k = floor(margin * theta / pi). Liu et al. 2017 (arXiv
    1704.08063), eq. 7, with embeddings normalised too.
    """

    def psi(target: Tensor) -> Tensor:
        angle = margin * torch.atan2(sine(target), target)
        turns = (angle.detach() / math.pi).floor()
        return (1 - 2 * (turns % 2)) * torch.cos(angle) - 2 * turns

    return with_targets(cosines, labels, psi, scale)


def best_subcentres(cosines: Tensor, subcentres: int) -> Tensor:
    """(N, C * K) cosines to K weight vectors a class, side by side -> (N, C), the largest of each class.

    Deng et al. 2020, Sub-center ArcFace (ECCV), section 3.3; `arcface` of it is that paper's loss.
    """
    return cosines.reshape(len(cosines), -1, subcentres).amax(dim=2)


def own_cosines(cosines: Tensor, labels: Tensor) -> Tensor:
    """(N,): the cosine of each row's labelled class, 0 where it is not among these columns."""
    return cosines.gather(1, labels.clamp(min=0)[:, None])[:, 0] * (labels >= 0)


def sine(cosines: Tensor) -> Tensor:
    """sqrt(1 - cos^2), whose gradient is bounded where the root's would be infinite."""
    square = (1 - cosines.square()).clamp(min=0)
    bounded = square.clamp(min=SMALL).sqrt()
    return bounded + (square.sqrt() - bounded).detach()


def with_targets(
    cosines: Tensor, labels: Tensor, change: Callable[[Tensor], Tensor], scale: float | Tensor
) -> Tensor:
    """scale * cosines (N, C), with `change` of the labelled class's cosines (N,) in their place.

    Only these go through `change`, and no other matrix of this size is made.
    """
    columns = labels.clamp(min=0)[:, None]
    target = cosines.gather(1, columns)[:, 0]
    changed = torch.where(labels >= 0, change(target), target)
    return (cosines * scale).scatter_(1, columns, (scale * changed)[:, None])
