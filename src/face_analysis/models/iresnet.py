"""The improved residual network of face recognition, with the state-dict keys of published checkpoints.

Deng, Guo, Xue, Zafeiriou: ArcFace, CVPR 2019 (arXiv 1801.07698), section 3.1; squeeze-and-excitation from
Hu, Shen, Sun: CVPR 2018 (arXiv 1709.01507).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from face_analysis.models.layers import Backbone, PReLU, initialise_convolutions, scaled_channels

UNITS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    152: (3, 8, 36, 3),
}
"""Residual units in each of the four stages."""

MODES = ("ir", "ir_se")
STAGE_CHANNELS = (64, 128, 256, 512)
SE_REDUCTION = 16
SE_MIN_HIDDEN = 4


class SqueezeExcitation(nn.Module):
    """Weighs the channels of (N, C, H, W) by a gate in 0 to 1 computed from their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The narrowest stage of the full-width network has 4 hidden channels; narrow networks keep that many.
        hidden = max(channels // SE_REDUCTION, SE_MIN_HIDDEN)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        gate = F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(gate))


class ResidualUnit(nn.Module):
    """Norm, convolution, norm, PReLU, strided convolution, norm, and the gate where asked for."""

    def __init__(self, inputs: int, outputs: int, stride: int, squeeze: bool) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.Identity()
        if stride != 1:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            *([SqueezeExcitation(outputs)] if squeeze else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        shortcut: Tensor = self.shortcut_layer(x)
        residual: Tensor = self.res_layer(x)
        return residual + shortcut


class IResNet(Backbone):
    """(N, 3, 112, 112) in -1 to 1 -> (N, embedding_size) float32 of norm 1.

    `depth` is a key of UNITS and `mode` one of MODES; `width` scales the channels of every stage.
    """

    def __init__(
        self, depth: int, mode: str, width: float = 1.0, dropout: float = 0.4, embedding_size: int = 512
    ) -> None:
        super().__init__()
        stages = [scaled_channels(channels, width) for channels in STAGE_CHANNELS]
        inputs = stages[0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, inputs, 3, 1, 1, bias=False), nn.BatchNorm2d(inputs), PReLU(inputs)
        )
        units = []
        for outputs, count in zip(stages, UNITS[depth], strict=True):
            for index in range(count):
                units.append(ResidualUnit(inputs, outputs, 2 if index == 0 else 1, mode == "ir_se"))
                inputs = outputs
        self.body = nn.Sequential(*units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(inputs * 7 * 7, embedding_size),
            nn.BatchNorm1d(embedding_size),
        )
        initialise_convolutions(self)

    def raw(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, embedding_size)."""
        embeddings: Tensor = self.output_layer(self.body(self.input_layer(images)))
        return embeddings
