"""Cosines between embeddings and class centres, without a normalised copy of the centres."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SHORTEST = 1e-12


def cosines(embeddings: Tensor, centres: Tensor) -> Tensor:
    """(N, D) embeddings of length 1 and (C, D) centres of any length -> their cosines (N, C).

    The products are divided by the centres' lengths, where the textbook normalises the centres first: for a
    million classes that copy and its gradient take several gigabytes.
    """
    result: Tensor = _Cosines.apply(embeddings, centres)  # type: ignore[no-untyped-call]
    return result


class _Cosines(torch.autograd.Function):
    """cos = x W' / |w|; its gradient in w is (x - cos * w / |w|) / |w|."""

    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, centres: Tensor) -> Tensor:
        inverse = centres.norm(dim=1).clamp(min=SHORTEST).reciprocal()
        result = (embeddings @ centres.T).mul_(inverse)
        ctx.save_for_backward(embeddings, centres, inverse, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        embeddings, centres, inverse, result = ctx.saved_tensors
        along = torch.linalg.vecdot(gradient, result, dim=0).mul_(inverse.square())
        scaled = gradient * inverse
        to_centres = scaled.T @ embeddings
        return scaled @ centres, to_centres.addcmul_(centres, along[:, None], value=-1)
