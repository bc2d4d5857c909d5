"""PReLU (He et al. 2015, arXiv 1502.01852) that is fast on a CPU in channels-last memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class PReLU(nn.PReLU):
    """`nn.PReLU` with a slope a channel, the same numbers and the same state-dict key.

    torch walks a channels-last tensor in runs of C numbers, because the slope changes with each: too short
    for narrow networks. Here a row of W x C numbers is one run, with the slopes repeated W times.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if x.device.type == "cpu" and x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
            result: Tensor = _RowwisePReLU.apply(x, self.weight)  # type: ignore[no-untyped-call]
            return result
        return super().forward(x)


class _RowwisePReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        rows = _rows(x)
        slopes = weight.to(x.dtype).repeat(x.shape[3])
        ctx.save_for_backward(rows, slopes)
        ctx.shape = x.shape
        return _images(torch._prelu_kernel(rows, slopes), x.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        rows, slopes = ctx.saved_tensors
        gradient = _rows(gradients[0])
        positive = torch.ops.aten.threshold_backward(gradient, rows, 0)
        negative = gradient - positive
        to_input = positive.addcmul_(negative, slopes)
        width, channels = ctx.shape[3], ctx.shape[1]
        kind = torch.promote_types(rows.dtype, torch.float32)
        to_weight = negative.mul_(rows).sum(0).view(width, channels).sum(0, dtype=kind)
        return _images(to_input, ctx.shape), to_weight


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N * H, W * C), a view where x is channels-last."""
    count, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(count * height, width * channels)


def _images(rows: Tensor, shape: torch.Size) -> Tensor:
    count, channels, height, width = shape
    return rows.view(count, height, width, channels).permute(0, 3, 1, 2)
