"""The attribute network: one backbone, one linear head for each attribute."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from face_analysis.datasets.attributes import ATTRIBUTES, OUTPUTS, Attribute
from face_analysis.errors import UsageError
from face_analysis.models.age_heads import AGE_HEADS
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import at_least_float32, draw_normal
from face_analysis.zoo.card import AgeLossName, BackboneConfig

HEAD_STD = 0.01
"""Spread of a fresh head's weights: on embeddings of norm 1 the logits start near 0, the loss at chance."""


class AttributeNetwork(nn.Module):
    """(N, 3, 112, 112) in -1 to 1 -> raw float32 logits of each attribute.

    Race (N, 5), gender (N, 2), age (N, outputs) as `age_heads.py` says of the `age_loss`. `backbone` gives
    the embeddings, `heads` holds a linear layer for each attribute. Raises UsageError for settings outside
    their range.
    """

    def __init__(
        self, config: BackboneConfig, attributes: Sequence[Attribute], age_loss: AgeLossName = "ordinal"
    ) -> None:
        super().__init__()
        unknown = [name for name in attributes if name not in ATTRIBUTES]
        if unknown or not attributes or len(set(attributes)) < len(attributes):
            raise UsageError(
                f"attributes {list(attributes)}: give each of {', '.join(ATTRIBUTES)} once at most"
            )
        if age_loss not in AGE_HEADS:
            raise UsageError(f"age loss {age_loss}: give one of {', '.join(AGE_HEADS)}")
        self.config = config
        self.age_loss = age_loss
        self.attributes: tuple[Attribute, ...] = tuple(attributes)
        self.backbone = build_backbone(config)
        self.heads = nn.ModuleDict(
            {name: _head(config.embedding_size, name, age_loss) for name in self.attributes}
        )
        for head in self.heads.values():
            assert isinstance(head, nn.Linear)
            draw_normal(head.weight, HEAD_STD)
            nn.init.zeros_(head.bias)

    def forward(self, images: Tensor) -> dict[Attribute, Tensor]:
        """Logits of each attribute, float32, under any precision of the backbone."""
        embeddings = self.backbone(images)
        with _without_autocast(embeddings.device.type):
            return {name: self._logits(name, embeddings) for name in self.attributes}

    def _logits(self, name: Attribute, embeddings: Tensor) -> Tensor:
        head = self.heads[name]
        assert isinstance(head, nn.Linear)
        logits: Tensor = head(embeddings.to(head.weight.dtype))
        return at_least_float32(logits)


class SharedWeights(nn.Linear):
    """(N, size) -> (N, outputs): one vector of weights for all outputs, and a bias for each.

    Tasks "older than k" cannot contradict each other where each has a smaller bias than the one before, as
    they have at the least loss: CORAL, Cao, Mirjalili, Raschka 2020 (arXiv 1901.07884), theorem 1.
    """

    def __init__(self, size: int, outputs: int) -> None:
        super().__init__(size, 1)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, embeddings: Tensor) -> Tensor:
        """The weighted sum, with each output's bias."""
        return F.linear(embeddings, self.weight) + self.bias


def _head(size: int, name: Attribute, age_loss: AgeLossName) -> nn.Linear:
    if name != "age":
        return nn.Linear(size, OUTPUTS[name])
    head = AGE_HEADS[age_loss]
    return (SharedWeights if head.shared_weights else nn.Linear)(size, head.outputs)


def _without_autocast(device_type: str) -> AbstractContextManager[object]:
    # Only where autocast is on: an exported graph then holds no trace of it.
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
