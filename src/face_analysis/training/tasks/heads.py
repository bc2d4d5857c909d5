"""The heads of recognition in training: each with its published margin, its loss, and what it remembers."""

from __future__ import annotations

from typing import ClassVar

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


class Softmax(nn.Module):
    """Logits (N, C) from the cosines (N, C) to this process's classes; without a margin, and base of all.

    A `margin` and a `scale` of None are the published ones. What a head remembers from step to step are its
    buffers, the same in all processes.
    """

    published_margin: ClassVar[float] = 0.0

    def __init__(self, classes: int, margin: float | None = None, scale: float | None = None) -> None:
        super().__init__()
        self.margin = self.published_margin if margin is None else margin
        self.scale = SCALE if scale is None else scale

    def margin_at(self, fraction: float) -> float:
        """The margin at a `fraction`, 0 to 1, of its warm-up."""
        return self.margin * fraction

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """`labels` (N,): own columns or -1; `norms` (N,) of embeddings; `fraction`: that of `margin_at`."""
        return softmax_logits(cosines, labels, self.scale)

    def penalty(self, norms: Tensor) -> Tensor | None:
        """What the head adds to the loss for the norms (N,) of the embeddings."""
        return None


class ArcFace(Softmax):
    """A margin on the angle."""

    published_margin = 0.5

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """As `Softmax.forward`."""
        return arcface(cosines, labels, self.margin_at(fraction), self.scale)


class CosFace(Softmax):
    """A margin on the cosine."""

    published_margin = 0.35

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """As `Softmax.forward`."""
        return cosface(cosines, labels, self.margin_at(fraction), self.scale)


class SphereFace(Softmax):
    """A factor on the angle, which so rises from 1 in the warm-up."""

    published_margin = 1.35

    def margin_at(self, fraction: float) -> float:
        """As `Softmax.margin_at`."""
        return 1 + (self.margin - 1) * fraction

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """As `Softmax.forward`."""
        return sphereface(cosines, labels, self.margin_at(fraction), self.scale)


class AdaCos(Softmax):
    """No margin, and a scale that follows the training, so that none can be given."""

    adapted_scale: Tensor

    def __init__(self, classes: int, margin: float | None = None, scale: float | None = None) -> None:
        super().__init__(classes, margin, scale)
        self.register_buffer("adapted_scale", torch.tensor(adacos_first_scale(classes)))

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """As `Softmax.forward`."""
        others = all_reduce(other_classes(cosines, labels, self.adapted_scale))
        self.adapted_scale = adacos_scale(others, shared_targets(cosines, labels), self.adapted_scale)
        return softmax_logits(cosines, labels, self.adapted_scale)


class AdaFace(Softmax):
    """Margins by the norm of the embedding, among the norms of the training so far."""

    published_margin = 0.4
    norm_mean: Tensor
    norm_std: Tensor

    def __init__(self, classes: int, margin: float | None = None, scale: float | None = None) -> None:
        super().__init__(classes, margin, scale)
        self.register_buffer("norm_mean", torch.tensor(20.0))
        self.register_buffer("norm_std", torch.tensor(100.0))

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """As `Softmax.forward`."""
        self.norm_mean, self.norm_std = running_norms(norms, self.norm_mean, self.norm_std)
        margin = self.margin_at(fraction)
        return adaface(cosines, labels, norms, self.norm_mean, self.norm_std, margin, scale=self.scale)


class MagFace(Softmax):
    """A margin that grows with the norm of the embedding, and a penalty that draws good faces to large norms.

    `margin` is the largest one.
    """

    published_margin = 0.8
    SMALLEST_OF_LARGEST: ClassVar[float] = 0.45 / 0.8
    PENALTY: ClassVar[float] = 35.0

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """As `Softmax.forward`."""
        margin = self.margin_at(fraction)
        margins = (self.SMALLEST_OF_LARGEST * margin, margin)
        return magface(cosines, labels, norms, margins, scale=self.scale)

    def penalty(self, norms: Tensor) -> Tensor:
        """As `Softmax.penalty`."""
        return self.PENALTY * magface_penalty(norms)


class CurricularFace(Softmax):
    """ArcFace that weighs hard negatives the more, the further the training is."""

    published_margin = 0.5
    progress: Tensor

    def __init__(self, classes: int, margin: float | None = None, scale: float | None = None) -> None:
        super().__init__(classes, margin, scale)
        self.register_buffer("progress", torch.tensor(0.0))

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor, fraction: float) -> Tensor:
        """As `Softmax.forward`."""
        targets = shared_targets(cosines, labels)
        self.progress = curricular_progress(targets, self.progress)
        return curricularface(cosines, labels, targets, self.progress, self.margin_at(fraction), self.scale)


HEADS: dict[HeadName, type[Softmax]] = {
    "arcface": ArcFace,
    "cosface": CosFace,
    "sphereface": SphereFace,
    "adacos": AdaCos,
    "adaface": AdaFace,
    "magface": MagFace,
    "curricularface": CurricularFace,
    "softmax": Softmax,
}


def shared_targets(cosines: Tensor, labels: Tensor) -> Tensor:
    """(N,): the cosine of each row's own class, from the process that has its column."""
    return all_reduce(own_cosines(cosines.detach(), labels))
