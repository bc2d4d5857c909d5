"""Class-weighted cross-entropy for race and gender."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.models.layers import precise


def class_weights(counts: Tensor, power: float = 1.0) -> Tensor:
    """(Largest class count / class count) ** power, (C,) float32; 0 for a class without images.

    Power 1 makes every class count the same, 0 every image.
    """
    counts = counts.to(torch.float32)
    weights = (counts.max() / counts.clamp(min=1)) ** power
    return torch.where(counts > 0, weights, torch.zeros_like(counts))


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of (N, C) logits against (N,) labels, averaged with the weight of each label's class.

    With `smoothing`, 0 to 1, that share of a label is spread over all classes alike (Szegedy et al. 2016,
    arXiv 1512.00567, section 7). A label of -1 is unknown and does not count; without any known label the
    loss is 0.
    """
    known = labels >= 0
    targets = labels.clamp(min=0)
    loss = F.cross_entropy(precise(logits), targets, reduction="none", label_smoothing=smoothing)
    weight = weights.to(loss)[targets] * known
    return (loss * weight).sum() / weight.sum().clamp(min=torch.finfo(torch.float32).tiny)
