"""From pixels to what the networks take."""

from __future__ import annotations

import torch
from torch import Tensor


def normalise(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Map pixels 0 to 255, uint8 of any shape, to x/127.5 - 1, the range -1 to 1; memory order is kept."""
    return images.to(dtype).div_(127.5).sub_(1.0)
