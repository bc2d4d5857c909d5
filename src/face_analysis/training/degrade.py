"""Photos as they come: blurred, small, badly compressed, off in colour, partly covered."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
LUMINANCE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)
"""The quantisation table of JPEG for brightness (ITU-T T.81, Table K.1)."""


def degrade(images: Tensor, share: float) -> Tensor:
    """Spoil images (N, 3, H, W) in -1 to 1; each way takes each image with probability `share` / 3.

    The ways: lower resolution (shrunk by 1.5 to 4 and enlarged), JPEG of quality 20 to 80, colour (saturation
    0 to 1.6, each channel times 0.85 to 1.15), and a rectangle of noise over 4 to 16 % of the area.
    """
    if share == 0:
        return images
    images = images.clone()
    for way in (_coarse, _jpeg, _colour, _covered):
        chosen = torch.nonzero(torch.rand(len(images), device=images.device) < share / 3).flatten()
        if len(chosen):
            images[chosen] = way(images[chosen])
    return images


def _coarse(images: Tensor) -> Tensor:
    factor = float(torch.empty(()).uniform_(1.5, 4.0))
    size = [max(1, round(side / factor)) for side in images.shape[2:]]
    small = F.interpolate(images, size, mode="bilinear", antialias=True)
    return F.interpolate(small, list(images.shape[2:]), mode="bilinear")


def _jpeg(images: Tensor) -> Tensor:
    return jpeg(images, torch.empty(len(images), device=images.device).uniform_(20, 80))


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Images (N, 3, H, W) in -1 to 1 as JPEG of quality (N,), 1 to 100, gives them back.

    Brightness is quantised as JPEG does it; the colour differences, in half resolution, twice as coarsely.
    Images whose sides are no multiples of 16 are returned as they are.
    """
    height, width = images.shape[2:]
    if height % (2 * BLOCK) or width % (2 * BLOCK):
        return images
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1, 1, 1, 1)
    red, green, blue = (images * 127.5).unbind(1)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    differences = torch.stack([blue - light, red - light], 1)
    light = _quantised(light[:, None], percent)[:, 0]
    differences = F.interpolate(_quantised(F.avg_pool2d(differences, 2), 2 * percent), (height, width))
    blue, red = light + differences[:, 0], light + differences[:, 1]
    green = (light - 0.299 * red - 0.114 * blue) / 0.587
    return (torch.stack([red, green, blue], 1) / 127.5).clamp(-1, 1)


def _quantised(planes: Tensor, percent: Tensor) -> Tensor:
    """(N, C, H, W) with each 8x8 block's frequencies rounded to steps of the table times `percent`."""
    count, channels, height, width = planes.shape
    cosines = _cosines(planes.device)
    step = (LUMINANCE.to(planes.device).view(1, 1, 1, BLOCK, 1, BLOCK) * percent / 100).clamp(min=1)
    blocks = planes.reshape(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    spectrum: Tensor = torch.einsum("ui,ncaibj,vj->ncaubv", cosines, blocks, cosines)
    rounded = torch.round(spectrum / step) * step
    values: Tensor = torch.einsum("ui,ncaubv,vj->ncaibj", cosines, rounded, cosines)
    return values.reshape(planes.shape)


def _cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform of 8 values, a row a frequency."""
    frequency, place = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing="ij")
    rows: Tensor = torch.cos(torch.pi * (2 * place + 1) * frequency / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
    rows[0] /= 2**0.5
    return rows.to(device)


def _colour(images: Tensor) -> Tensor:
    saturation = torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(0, 1.6)
    gains = torch.empty(len(images), 3, 1, 1, device=images.device).uniform_(0.85, 1.15)
    grey = images.mean(1, keepdim=True)
    return ((grey + saturation * (images - grey) + 1) * gains - 1).clamp(-1, 1)


def _covered(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    area = torch.empty(len(images)).uniform_(0.04, 0.16)
    aspect = torch.empty(len(images)).uniform_(0.5, 2.0)
    images = images.clone()
    for image, part, ratio in zip(images, area.tolist(), aspect.tolist(), strict=True):
        down, across = (
            min(side, max(1, round(side * (part * r) ** 0.5)))
            for side, r in ((height, ratio), (width, 1 / ratio))
        )
        top = int(torch.randint(height - down + 1, ()))
        left = int(torch.randint(width - across + 1, ()))
        image[:, top : top + down, left : left + across] = (
            torch.rand(3, down, across, device=image.device) * 2 - 1
        )
    return images
