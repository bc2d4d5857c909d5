"""A margin head in training: which one, its margin at this step, and what it remembers from step to step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from face_analysis.distributed import all_reduce
from face_analysis.losses.margin import SCALE, arcface, cosface, own_cosines, softmax_logits, sphereface
from face_analysis.losses.margin_adaptive import (
    adacos_first_scale,
    adacos_scale,
    adaface,
    curricular_progress,
    curricularface,
    magface,
    magface_penalty,
    other_classes,
    running_norms,
)
from face_analysis.training.options import HeadName

MARGINS: dict[HeadName, float] = {
    "arcface": 0.5,
    "cosface": 0.35,
    "sphereface": 1.35,
    "adaface": 0.4,
    "magface": 0.8,
    "curricularface": 0.5,
}
"""The published margin of each head that has one; MagFace's largest."""

MAGFACE_SMALLEST = 0.45 / 0.8
MAGFACE_PENALTY = 35.0


class MarginHead(nn.Module):
    """Logits (N, C) from the cosines (N, C) to this process's classes.

    `margin` and `scale` of None are the published ones. AdaCos adapts its scale, so none can be given for it.
    The scale, norms and progress that some heads follow are buffers, the same in all processes.
    """

    scale: Tensor
    norm_mean: Tensor
    norm_std: Tensor
    progress: Tensor

    def __init__(self, name: HeadName, classes: int, margin: float | None, scale: float | None) -> None:
        super().__init__()
        self.name = name
        self.margin = MARGINS.get(name, 0.0) if margin is None else margin
        first = adacos_first_scale(classes) if name == "adacos" else SCALE if scale is None else scale
        # All others have the scale of the options, also where a run goes on.
        self.register_buffer("scale", torch.tensor(first), persistent=name == "adacos")
        self.register_buffer("norm_mean", torch.tensor(20.0))
        self.register_buffer("norm_std", torch.tensor(100.0))
        self.register_buffer("progress", torch.tensor(0.0))

    def margin_at(self, fraction: float) -> float:
        """The margin at a `fraction`, 0 to 1, of its warm-up: SphereFace's multiplies, so it rises from 1."""
        return 1 + (self.margin - 1) * fraction if self.name == "sphereface" else self.margin * fraction

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """`labels` (N,): own columns or -1; `norms` (N,) of embeddings; `fraction`: that of `margin_at`."""
        margin, scale = self.margin_at(fraction), self._scale(cosines, labels)
        if self.name == "arcface":
            return arcface(cosines, labels, margin, scale)
        if self.name == "cosface":
            return cosface(cosines, labels, margin, scale)
        if self.name == "sphereface":
            return sphereface(cosines, labels, margin, scale)
        if self.name == "adaface":
            self.norm_mean, self.norm_std = running_norms(norms, self.norm_mean, self.norm_std)
            return adaface(cosines, labels, norms, self.norm_mean, self.norm_std, margin, scale=scale)
        if self.name == "magface":
            return magface(cosines, labels, norms, (MAGFACE_SMALLEST * margin, margin), scale=scale)
        if self.name == "curricularface":
            targets = shared_targets(cosines, labels)
            self.progress = curricular_progress(targets, self.progress)
            return curricularface(cosines, labels, targets, self.progress, margin, scale)
        return softmax_logits(cosines, labels, scale)

    def penalty(self, norms: Tensor) -> Tensor | None:
        """What a head adds to the loss for the norms (N,) of the embeddings."""
        return MAGFACE_PENALTY * magface_penalty(norms) if self.name == "magface" else None

    def _scale(self, cosines: Tensor, labels: Tensor) -> float:
        if self.name == "adacos":
            others = all_reduce(other_classes(cosines, labels, self.scale))
            self.scale = adacos_scale(others, shared_targets(cosines, labels), self.scale)
        return float(self.scale)


def shared_targets(cosines: Tensor, labels: Tensor) -> Tensor:
    """(N,): the cosine of each row's own class, from the process that has its column."""
    return all_reduce(own_cosines(cosines.detach(), labels))
