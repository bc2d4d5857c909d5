"""What the backbones share: channel widths, initial weights, the length of an embedding."""

from __future__ import annotations

import math

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
    """(N, 3, 112, 112) in -1 to 1 -> embeddings (N, D) float32 of length 1.

    `raw` gives them as they are before they are brought to length 1, in any float type: some losses use the
    length. With `stands_bfloat16` its embeddings computed in bfloat16 have a cosine of at least 0.999 to the
    exact ones: random IResNets with batch norms fitted to images gave 0.9993 (depth 100) to 0.9997 (50, SE).
    """

    stands_bfloat16 = True

    def raw(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, D)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, D) float32 of length 1."""
        return unit_length(self.raw(images))


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


def unit_length(embeddings: Tensor) -> Tensor:
    """(N, D) of any float type -> (N, D) float32 at least, of length 1; a zero vector stays zero."""
    return F.normalize(precise(embeddings), dim=1, eps=1e-12)


def precise(values: Tensor) -> Tensor:
    """The values in float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
