"""Dropout that belongs to an image, as all else that is drawn for it."""

from __future__ import annotations

import math

from torch import Tensor, nn

from face_analysis.training.augmentation.draws import Draws


class DrawnDropout(nn.Dropout):
    """Dropout of what `draws` gives for each image, so the same in any batch, process or part of a run."""

    draws: Draws

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) of the images of `draws` -> the same shape."""
        if not self.training or self.p == 0:
            return x
        kept = self.draws.uniform("dropout", math.prod(x.shape[1:])) >= self.p
        return x * kept.view(x.shape) / (1 - self.p)


def drawn_dropouts(network: nn.Module) -> list[DrawnDropout]:
    """Put these in place of every dropout of the network; before each step give them its `draws`."""
    drawn = []
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Dropout):
            parent, _, own = name.rpartition(".")
            drawn.append(DrawnDropout(module.p))
            setattr(network.get_submodule(parent), own, drawn[-1].train(module.training))
    return drawn
