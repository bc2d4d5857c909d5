"""Augmentation of a batch on the device that trains: flips, jitter, degradation, and mixing in pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.distributed import all_gather_rows, rank
from face_analysis.training.draws import Draws, sent

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


def augment(images: Tensor, jitter: float, draws: Draws) -> Tensor:
    """Flip each image (N, 3, H, W) with probability 1/2; with `jitter` also move and tint it at random.

    At jitter 1: shift up to 10 % of the size, scale 0.8 to 1.25, roll up to 20 degrees, contrast 0.7 to 1.3,
    brightness +-0.3 (pixels are -1 to 1). Pixels from outside the image repeat its edge.
    """
    flips = torch.where(draws.uniform("flip", 1)[:, 0] < 0.5, -1.0, 1.0)
    if jitter == 0:
        return torch.where(flips.view(-1, 1, 1, 1) < 0, images.flip(3), images)
    grid = F.affine_grid(_affine(flips, jitter, draws).to(images), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast, brightness = (0.3 * jitter * draws.uniform("tint", 2, -1, 1)).view(-1, 2, 1, 1, 1).unbind(1)
    tinted = moved * (1 + contrast) + brightness
    return tinted.contiguous(memory_format=torch.channels_last)


def _affine(flips: Tensor, jitter: float, draws: Draws) -> Tensor:
    """(N, 2, 3) maps from output to input coordinates, both -1 to 1."""
    roll, size, across, down = (jitter * draws.uniform("move", 4, -1, 1)).unbind(1)
    angle, scale = math.radians(20) * roll, 1.25**size
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = [torch.stack([cos * flips, -sin, 0.2 * across], 1), torch.stack([sin * flips, cos, 0.2 * down], 1)]
    return torch.stack(rows, 1)


def degrade(images: Tensor, strength: float, draws: Draws) -> Tensor:
    """Spoil images (N, 3, H, W) in -1 to 1; each way takes each image with probability `strength` / 3.

    The ways: lower resolution (shrunk by 1.5 to 4 and enlarged), JPEG of quality 20 to 80, colour (saturation
    0 to 1.6, each channel times 0.85 to 1.15), and a rectangle of noise over 4 to 16 % of the area. The host
    draws which images a way takes, so that it does not wait for the device.
    """
    if strength == 0:
        return images
    images = images.clone()
    taken = draws.on_host("ways", len(WAYS)) < strength / 3
    for way, column in zip(WAYS, taken.T, strict=True):
        chosen = torch.from_numpy(np.flatnonzero(column))
        if len(chosen):
            places = sent(chosen, images.device)
            images[places] = way(images[places], draws[chosen])
    return images


def coarse(images: Tensor, draws: Draws) -> Tensor:
    """Images (N, 3, H, W), each shrunk by a factor of 1.5 to 4 and enlarged to its size."""
    height, width = images.shape[2:]
    factors = draws.on_host("coarse", 1, 1.5, 4.0)[:, 0]
    heights = np.maximum(np.round(np.reciprocal(factors) * np.float32(height)), 1).astype(np.int64)
    order = sent(torch.from_numpy(np.argsort(heights, kind="stable")), images.device)
    sorted_images, spoilt = images[order], torch.empty_like(images)
    start = 0
    for size, count in zip(*(each.tolist() for each in np.unique(heights, return_counts=True)), strict=True):
        same = slice(start, start + count)
        small = [size, max(1, round(width * size / height))]
        shrunk = F.interpolate(sorted_images[same], small, mode="bilinear", antialias=True)
        spoilt[order[same]] = F.interpolate(shrunk, [height, width], mode="bilinear")
        start += count
    return spoilt


def _jpeg(images: Tensor, draws: Draws) -> Tensor:
    return jpeg(images, draws.uniform("jpeg", 1, 20, 80)[:, 0])


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
    cosines, luminance = _tables(planes.device)
    step = (luminance.view(1, 1, 1, BLOCK, 1, BLOCK) * percent / 100).clamp(min=1)
    blocks = planes.reshape(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    spectrum: Tensor = torch.einsum("ui,ncaibj,vj->ncaubv", cosines, blocks, cosines)
    rounded = torch.round(spectrum / step) * step
    values: Tensor = torch.einsum("ui,ncaubv,vj->ncaibj", cosines, rounded, cosines)
    return values.reshape(planes.shape)


@cache
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """The orthonormal cosine transform of 8 values, a row a frequency, and LUMINANCE."""
    frequency, place = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing="ij")
    rows: Tensor = torch.cos(torch.pi * (2 * place + 1) * frequency / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
    rows[0] /= 2**0.5
    return sent(rows, device), sent(LUMINANCE, device)


def _colour(images: Tensor, draws: Draws) -> Tensor:
    saturation = draws.uniform("saturation", 1, 0, 1.6).view(-1, 1, 1, 1)
    gains = draws.uniform("gains", 3, 0.85, 1.15).view(-1, 3, 1, 1)
    grey = images.mean(1, keepdim=True)
    return ((grey + saturation * (images - grey) + 1) * gains - 1).clamp(-1, 1)


def covered(images: Tensor, draws: Draws) -> Tensor:
    """Images (N, 3, H, W) with noise in a rectangle of 4 to 16 % of the area, sides 1:2 to 2:1, in each."""
    height, width = images.shape[2:]
    area = draws.uniform("covered area", 1, 0.04, 0.16)[:, 0]
    aspect = draws.uniform("covered shape", 1, 0.5, 2.0)[:, 0]
    place = draws.uniform("covered place", 2)
    down = _within(height, (area * aspect).sqrt(), place[:, 0])[:, :, None]
    across = _within(width, (area / aspect).sqrt(), place[:, 1])[:, None, :]
    noise = draws.uniform("noise", images[0].numel(), -1, 1).view_as(images)
    return torch.where((down & across)[:, None], noise, images)


def _within(side: int, fraction: Tensor, place: Tensor) -> Tensor:
    """(N, side): where a stretch of `fraction` (N,) of the side is, the first one at `place` (N,) 0."""
    length = (side * fraction).round().clamp(1, side)[:, None]
    start = (place[:, None] * (side - length + 1)).floor()
    pixels = torch.arange(side, device=fraction.device)
    return (pixels >= start) & (pixels < start + length)


WAYS = (coarse, _jpeg, _colour, covered)


def mixed(
    images: Tensor, labels: Tensor, draws: Draws, weight: float, counts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Mix each image (n, ...) with its partner in the global batch, and give the partners' labels.

    The images given have this `weight`, 0 to 1, in the mixed ones (n, ...); labels (n, columns) become those
    of the partners of all processes' images (N, columns). Every image has another partner; it follows from
    the draws, whatever process has the image. `counts` are the numbers n of all processes.
    """
    order = torch.argsort(all_gather_rows(draws.uniform("partner", 1)[:, 0], counts), stable=True)
    partners = torch.empty_like(order)
    partners[order] = order.roll(1)
    first = sum(counts[: rank()])
    others = all_gather_rows(images, counts)[partners[first : first + len(images)]]
    return weight * images + (1 - weight) * others, all_gather_rows(labels, counts)[partners]


def mixing_weight(strength: float, seed: int, step: int) -> float:
    """A step's draw from the distribution Beta(strength, strength), 0 to 1.

    Devroye 1996, Random Variate Generation in One Line of Code (Winter Simulation Conference).
    """
    first, second = Draws(seed, step, torch.zeros(1, dtype=torch.int64)).on_host("mixup", 2)[0].tolist()
    power = (1 - first) ** (1 / strength)  # of a number over 0
    cosine = math.cos(2 * math.pi * second)
    spread = (1 - power) / (power + (1 - power) * cosine**2)
    return min(1.0, max(0.0, 0.5 + 0.5 * cosine * math.sqrt(spread)))
