"""Augmentation of a whole batch on the device that trains."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, jitter: float) -> Tensor:
    """Flip each image (N, 3, H, W) with probability 1/2; with `jitter` also move and tint it at random.

    At jitter 1: shift up to 10 % of the size, scale 0.8 to 1.25, roll up to 20 degrees, contrast 0.7 to 1.3,
    brightness +-0.3 (pixels are -1 to 1). Pixels from outside the image repeat its edge.
    """
    flips = torch.where(torch.rand(len(images), device=images.device) < 0.5, -1.0, 1.0)
    if jitter == 0:
        return torch.where(flips.view(-1, 1, 1, 1) < 0, images.flip(3), images)
    grid = F.affine_grid(_affine(flips, jitter), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast = 1 + 0.3 * jitter * _uniform(len(images), images.device)
    brightness = 0.3 * jitter * _uniform(len(images), images.device)
    tinted = moved * contrast.view(-1, 1, 1, 1) + brightness.view(-1, 1, 1, 1)
    return tinted.contiguous(memory_format=torch.channels_last)


def _affine(flips: Tensor, jitter: float) -> Tensor:
    """(N, 2, 3) maps from output to input coordinates, both -1 to 1."""
    count, device = len(flips), flips.device
    angle = math.radians(20) * jitter * _uniform(count, device)
    scale = 1.25 ** (jitter * _uniform(count, device))
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    shift = 0.2 * jitter * torch.stack([_uniform(count, device), _uniform(count, device)])
    rows = [torch.stack([cos * flips, -sin, shift[0]], 1), torch.stack([sin * flips, cos, shift[1]], 1)]
    return torch.stack(rows, 1)


def _uniform(count: int, device: torch.device) -> Tensor:
    return torch.rand(count, device=device) * 2 - 1
