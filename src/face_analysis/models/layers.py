"""What the backbones share: channel widths, initial weights, unit norm, layers fast on a CPU."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def scaled_channels(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to a multiple of 8, at least 16.

    With 8 channels a strided 1x1 convolution in channels-last memory writes past its buffers on a CPU
    (seen in torch 2.13).
    """
    return max(16, 8 * math.floor(channels * width / 8 + 0.5))


class Backbone(nn.Module):
    """(N, 3, 112, 112) in -1 to 1 -> embeddings (N, D) float32 of norm 1.

    `raw` gives them as they are before they are normalised to norm 1, in any float type: some losses use the
    norm. With `stands_bfloat16` its embeddings computed in bfloat16 have a cosine of at least 0.999 to the
    exact ones: random IResNets with batch norms fitted to images gave 0.9993 (depth 100) to 0.9997 (50, SE).
    """

    stands_bfloat16 = True

    def raw(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, D)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, D) float32 of norm 1."""
        return unit_norm(self.raw(images))


class StridedDepthwise(nn.Conv2d):
    """A depthwise convolution with a stride, in float32 on a CPU under autocast.

    Its bfloat16 backward pass took 6 times as long as the one in float32 (torch 2.13).
    """

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`."""
        if self.training and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.to(torch.float32)).to(x.dtype)
        return super().forward(x)


def initialise_convolutions(network: nn.Module) -> None:
    """Draw every convolution's weights as He et al. 2015 (arXiv 1502.01852, eq. 14) do, by fan-out.

    The fan-out of a grouped convolution counts one group, so that depthwise layers keep the signal's size.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            draw_normal(module.weight, math.sqrt(2 / fan_out))


def draw_normal(weight: Tensor, std: float) -> None:
    """Fill a weight from N(0, std^2); on the meta device do nothing, for torch would import its compiler."""
    if not weight.is_meta:
        nn.init.normal_(weight, std=std)


def unit_norm(embeddings: Tensor) -> Tensor:
    """(N, D) of any float type -> (N, D) float32 at least, of norm 1; a zero vector stays zero."""
    return F.normalize(at_least_float32(embeddings), dim=1, eps=1e-12)


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


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
