"""Images mixed in pairs, and losses with them: Zhang, Cisse, Dauphin, Lopez-Paz 2018 (arXiv 1710.09412)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from face_analysis.losses.processes import gathered, rank
from face_analysis.training.augmentation.draws import Draws


def mixed(images: Tensor, labels: Tensor, draws: Draws, share: float) -> tuple[Tensor, Tensor]:
    """Mix each image (n, ...) with its partner in the global batch, and give the partners' labels.

    The images given make up `share` of the mixed ones (n, ...); labels (n, columns) become those of the
    partners of all processes' images (N, columns). Every image has another partner; it follows from the
    draws, whatever process has the image.
    """
    order = torch.argsort(gathered(draws.uniform("partner", 1)[:, 0]), stable=True)
    partners = torch.empty_like(order)
    partners[order] = order.roll(1)
    here = gathered(torch.full_like(draws.indices, rank())) == rank()
    others = gathered(images)[partners[here]]
    return share * images + (1 - share) * others, gathered(labels)[partners]


def mixing_share(strength: float, seed: int, step: int) -> float:
    """A step's draw from the distribution Beta(strength, strength), 0 to 1.

    Devroye 1996, Random Variate Generation in One Line of Code (Winter Simulation Conference).
    """
    numbers = Draws(seed, step, torch.zeros(1, dtype=torch.int64)).uniform("mixup", 2)
    first, second = numbers[0].tolist()
    power = (1 - first) ** (1 / strength)  # of a number over 0
    cosine = math.cos(2 * math.pi * second)
    spread = (1 - power) / (power + (1 - power) * cosine**2)
    return min(1.0, max(0.0, 0.5 + 0.5 * cosine * math.sqrt(spread)))
