"""MobileFaceNet, a face backbone of one million parameters.

Chen, Liu, Gao, Han: MobileFaceNets, CCBR 2018 (arXiv 1804.07573), Table 1.
"""

from __future__ import annotations

from torch import Tensor, nn

from face_analysis.models.layers import Backbone, initialise_convolutions, scaled_channels
from face_analysis.models.prelu import PReLU

BOTTLENECKS = (
    # expansion, channels, repeats, stride of the first
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
)
"""The rows "bottleneck" of Table 1."""


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class Bottleneck(nn.Module):
    """Expand by 1x1, filter each channel by 3x3, project linearly by 1x1; residual where it fits."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *_convolution(inputs, hidden, 1),
            PReLU(hidden),
            *_convolution(hidden, hidden, 3, stride, 1, groups=hidden),
            PReLU(hidden),
            *_convolution(hidden, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class MobileFaceNet(Backbone):
    """(N, 3, 112, 112) in -1 to 1 -> (N, embedding_size) float32 of length 1.

    `width` scales the channels of every layer but the embedding. `dropout` acts on the 512 numbers before the
    embedding, as in IResNet; the paper has none (0) and an embedding of 128. In bfloat16 random weights gave
    embeddings with a cosine of 0.994 alone.
    """

    stands_bfloat16 = False

    def __init__(self, width: float = 1.0, dropout: float = 0.4, embedding_size: int = 512) -> None:
        super().__init__()
        inputs, last = scaled_channels(64, width), scaled_channels(512, width)
        self.stem = nn.Sequential(
            *_convolution(3, inputs, 3, 2, 1),
            PReLU(inputs),
            *_convolution(inputs, inputs, 3, 1, 1, groups=inputs),
            PReLU(inputs),
        )
        bottlenecks = []
        for expansion, channels, repeats, first_stride in BOTTLENECKS:
            outputs = scaled_channels(channels, width)
            for index in range(repeats):
                stride = first_stride if index == 0 else 1
                bottlenecks.append(Bottleneck(inputs, outputs, expansion, stride))
                inputs = outputs
        self.body = nn.Sequential(*bottlenecks)
        self.output = nn.Sequential(
            *_convolution(inputs, last, 1),
            PReLU(last),
            *_convolution(last, last, 7, groups=last),
            nn.Dropout(dropout),
            *_convolution(last, embedding_size, 1),
            nn.Flatten(),
        )
        initialise_convolutions(self)

    def raw(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, embedding_size)."""
        embeddings: Tensor = self.output(self.body(self.stem(images)))
        return embeddings
