"""Margin heads of face recognition: from embeddings to cosines, and on to the logits of cross-entropy.

All heads take `cosines` (N, C) between N embeddings and the weight vectors of C classes, float32 or float64
in -1 to 1, and `labels` (N,): the class of each row, or -1 where its class is not among these columns, as
when classes are split over processes. They give logits (N, C), and let gradients stay finite at cosines of 1
and -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SMALLEST_NORM = 1e-12
SCALE = 64.0
SMALL = 1e-6
"""Below this squared sine the gradient of its root stays what it is here."""
ROWS_AT_ONCE = 16
"""Rows of a matrix that are worked on at a time where a whole one more would not fit."""


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
        along = torch.zeros_like(inverse)
        for rows in row_blocks(len(result)):  # the product of all rows would be one more matrix of this size
            along += (gradient[rows] * result[rows]).sum(dim=0)
        along.mul_(inverse.square())
        scaled = gradient * inverse
        to_class_weights = scaled.T @ embeddings
        return scaled @ class_weights, to_class_weights.addcmul_(class_weights, along[:, None], value=-1)


def softmax_logits(cosines: Tensor, labels: Tensor, scale: float | Tensor = SCALE) -> Tensor:
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
    if subcentres == 1:
        return cosines
    result: Tensor = _BestSubcentres.apply(cosines, subcentres)  # type: ignore[no-untyped-call]
    return result


class _BestSubcentres(torch.autograd.Function):
    """The gradient goes to the largest cosine of each class, the first of equal ones."""

    @staticmethod
    def forward(ctx: Any, cosines: Tensor, subcentres: int) -> Tensor:
        parts = cosines.view(len(cosines), -1, subcentres)
        best = parts.new_empty(parts.shape[:2])
        places = parts.new_empty(parts.shape[:2], dtype=torch.uint8)
        for rows in row_blocks(len(parts)):  # places of all rows would take twice the memory of the result
            values, chosen = parts[rows].max(dim=2)
            best[rows], places[rows] = values, chosen.to(torch.uint8)
        ctx.save_for_backward(places)
        ctx.subcentres = subcentres
        return best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        result = gradient.new_zeros(*gradient.shape, ctx.subcentres)
        for rows in row_blocks(len(gradient)):
            result[rows].scatter_(2, places[rows].long()[..., None], gradient[rows][..., None])
        return result.view(len(gradient), -1), None


def own_cosines(cosines: Tensor, labels: Tensor) -> Tensor:
    """(N,): the cosine of each row's labelled class, 0 where it is not among these columns."""
    return cosines.gather(1, labels.clamp(min=0)[:, None])[:, 0] * (labels >= 0)


def sine(cosines: Tensor) -> Tensor:
    """sqrt(1 - cos^2), whose gradient is bounded where the root's would be infinite."""
    square = (1 - cosines.square()).clamp(min=0)
    bounded = square.clamp(min=SMALL).sqrt()
    return bounded + (square.sqrt() - bounded).detach()


def with_targets(
    cosines: Tensor,
    labels: Tensor,
    change: Callable[[Tensor], Tensor],
    scale: float | Tensor,
    weigh: HardNegatives | None = None,
) -> Tensor:
    """scale * cosines (N, C), with `change` of the labelled class's cosines (N,) in their place.

    Only these go through `change`; `weigh` multiplies the others. Forward and backward, one matrix of this
    size is made each.
    """
    columns, here = labels.clamp(min=0)[:, None], labels >= 0
    matrix, target = _Targets.apply(cosines, columns)  # type: ignore[no-untyped-call]
    result: Tensor = _Replaced.apply(matrix, change(target), columns, here, scale, weigh)  # type: ignore[no-untyped-call]
    return result


class HardNegatives(NamedTuple):
    """Cosines of other classes that are over the row's `limit` (N, 1) count `progress` + cosine times."""

    limit: Tensor
    progress: Tensor

    def factor(self, cosines: Tensor, rows: slice, times: int) -> Tensor:
        """`progress` + `times` * cosine for the hard classes of these rows, 1 for the others."""
        part = cosines[rows]
        return torch.where(part > self.limit[rows], self.progress + times * part, 1)


def row_blocks(count: int) -> Iterator[slice]:
    """The rows of a matrix in blocks of ROWS_AT_ONCE."""
    return (slice(start, start + ROWS_AT_ONCE) for start in range(0, count, ROWS_AT_ONCE))


class _Targets(torch.autograd.Function):
    """The matrix as it is, and the entries (N,) in these columns; their gradients go into one matrix."""

    @staticmethod
    def forward(ctx: Any, cosines: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(columns)
        return cosines.view_as(cosines), cosines.gather(1, columns)[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, to_target: Tensor) -> tuple[Tensor, None]:
        (columns,) = ctx.saved_tensors
        # `_Replaced` has made this matrix for this place alone.
        return gradient.scatter_add_(1, columns, to_target[:, None]), None


class _Replaced(torch.autograd.Function):
    """scale * cosines, hard ones weighed, and `changed` (N,) in the columns of rows whose class is `here`."""

    @staticmethod
    def forward(
        ctx: Any,
        cosines: Tensor,
        changed: Tensor,
        columns: Tensor,
        here: Tensor,
        scale: float | Tensor,
        weigh: HardNegatives | None,
    ) -> Tensor:
        ctx.scale, ctx.weigh = scale, weigh
        ctx.save_for_backward(columns, here, *(() if weigh is None else (cosines,)))
        result = cosines * scale
        if weigh is not None:
            for rows in row_blocks(len(result)):
                result[rows].mul_(weigh.factor(cosines, rows, 1))
        elsewhere = result.gather(1, columns)[:, 0]
        return result.scatter_(1, columns, torch.where(here, scale * changed, elsewhere)[:, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        columns, here, *kept = ctx.saved_tensors
        scaled = gradient * ctx.scale
        to_changed = scaled.gather(1, columns)[:, 0] * here
        if kept:
            for rows in row_blocks(len(scaled)):
                scaled[rows].mul_(ctx.weigh.factor(kept[0], rows, 2))
        elsewhere = scaled.gather(1, columns)[:, 0] * ~here
        return scaled.scatter_(1, columns, elsewhere[:, None]), to_changed, None, None, None, None
