"""MobileNet with PReLU, the body of the SFace recognition network, under an embedding of any size.

Howard et al.: MobileNets, 2017 (arXiv 1704.04861), Table 1, with a first stride of 1 for chips of 112 pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from face_analysis.models.layers import (
    Backbone,
    StridedDepthwise,
    initialise_convolutions,
    scaled_channels,
)
from face_analysis.models.prelu import PReLU

STEM = 32
BLOCKS = (
    # channels, stride
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
"""The rows "Conv dw" and the "Conv" after each, of Table 1."""
FINAL_SIDE = 7
EPSILON, LAST_EPSILON = 1e-3, 2e-5
"""Of the batch norms, and of the one after them, as in SFace."""


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    layer = StridedDepthwise if groups > 1 and stride > 1 else nn.Conv2d
    return [
        layer(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=EPSILON),
        PReLU(outputs),
    ]


class MobileNet(Backbone):
    """(N, 3, 112, 112) in -1 to 1 -> (N, embedding_size) float32 of length 1.

    `width` scales the channels of every layer but the embedding. In place of the average over the last 7x7
    positions stands a weighted one, a weight a channel and position, which starts as the average (the global
    depthwise convolution of arXiv 1804.07573). `dropout` acts on what it gives.
    """

    def __init__(self, width: float = 1.0, dropout: float = 0.4, embedding_size: int = 512) -> None:
        super().__init__()
        channels = scaled_channels(STEM, width)
        self.stem = nn.Sequential(*_convolution(3, channels, 3))
        blocks = []
        for wanted, stride in BLOCKS:
            outputs = scaled_channels(wanted, width)
            filters = _convolution(channels, channels, 3, stride, groups=channels)
            blocks.append(nn.Sequential(*filters, *_convolution(channels, outputs, 1)))
            channels = outputs
        self.body = nn.Sequential(*blocks)
        pool = nn.Conv2d(channels, channels, FINAL_SIDE, groups=channels, bias=False)
        self.output = nn.Sequential(
            nn.BatchNorm2d(channels, eps=LAST_EPSILON),
            pool,
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels, embedding_size, bias=False),
            nn.BatchNorm1d(embedding_size),
        )
        initialise_convolutions(self)
        nn.init.constant_(pool.weight, 1 / FINAL_SIDE**2)

    def raw(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, embedding_size)."""
        embeddings: Tensor = self.output(self.body(self.stem(images)))
        return embeddings
