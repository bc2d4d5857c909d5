"""Small backbones of depthwise convolutions: MobileFaceNet (a million parameters) and MobileNet with PReLU.

Chen, Liu, Gao, Han: MobileFaceNets, CCBR 2018 (arXiv 1804.07573), Table 1. Howard et al.: MobileNets, 2017
(arXiv 1704.04861), Table 1, with a first stride of 1 for chips of 112 pixels: it is the body of the SFace
recognition network, under an embedding of any size.
"""

from __future__ import annotations

from torch import Tensor, nn

from face_analysis.models.layers import (
    Backbone,
    PReLU,
    StridedDepthwise,
    initialise_convolutions,
    scaled_channels,
)

BOTTLENECKS = (
    # expansion, channels, repeats, stride of the first
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
)
"""The rows "bottleneck" of Table 1."""
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
"""The epsilon of the batch norms, and that of the last one, as in SFace."""


def _conv_norm(
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
            *_conv_norm(inputs, hidden, 1),
            PReLU(hidden),
            *_conv_norm(hidden, hidden, 3, stride, 1, groups=hidden),
            PReLU(hidden),
            *_conv_norm(hidden, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class MobileFaceNet(Backbone):
    """(N, 3, 112, 112) in -1 to 1 -> (N, embedding_size) float32 of norm 1.

    `width` scales the channels of every layer but the embedding. `dropout` acts on the 512 numbers before the
    embedding, as in IResNet; the paper has none (0) and an embedding of 128. In bfloat16 random weights gave
    embeddings with a cosine of 0.994 alone.
    """

    stands_bfloat16 = False

    def __init__(self, width: float = 1.0, dropout: float = 0.4, embedding_size: int = 512) -> None:
        super().__init__()
        inputs, last = scaled_channels(64, width), scaled_channels(512, width)
        self.stem = nn.Sequential(
            *_conv_norm(3, inputs, 3, 2, 1),
            PReLU(inputs),
            *_conv_norm(inputs, inputs, 3, 1, 1, groups=inputs),
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
            *_conv_norm(inputs, last, 1),
            PReLU(last),
            *_conv_norm(last, last, 7, groups=last),
            nn.Dropout(dropout),
            *_conv_norm(last, embedding_size, 1),
            nn.Flatten(),
        )
        initialise_convolutions(self)

    def raw(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, embedding_size)."""
        embeddings: Tensor = self.output(self.body(self.stem(images)))
        return embeddings


def _conv_norm_prelu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    layer = StridedDepthwise if groups > 1 and stride > 1 else nn.Conv2d
    return [
        layer(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=EPSILON),
        PReLU(outputs),
    ]


class MobileNet(Backbone):
    """(N, 3, 112, 112) in -1 to 1 -> (N, embedding_size) float32 of norm 1.

    `width` scales the channels of every layer but the embedding. In place of the average over the last 7x7
    positions stands a weighted one, a weight a channel and position, which starts as the average (the global
    depthwise convolution of arXiv 1804.07573). `dropout` acts on what it gives.
    """

    def __init__(self, width: float = 1.0, dropout: float = 0.4, embedding_size: int = 512) -> None:
        super().__init__()
        channels = scaled_channels(STEM, width)
        self.stem = nn.Sequential(*_conv_norm_prelu(3, channels, 3))
        blocks = []
        for wanted, stride in BLOCKS:
            outputs = scaled_channels(wanted, width)
            filters = _conv_norm_prelu(channels, channels, 3, stride, groups=channels)
            blocks.append(nn.Sequential(*filters, *_conv_norm_prelu(channels, outputs, 1)))
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
