"""Augmentation of a whole batch on the device that trains."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.training.augmentation.draws import Draws


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
