"""The attribute network: one backbone, one linear head for each attribute."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from face_analysis.datasets.attributes import ATTRIBUTES, OUTPUTS, Attribute
from face_analysis.errors import UsageError
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import draw_normal
from face_analysis.zoo.card import BackboneConfig

HEAD_STD = 0.01
"""Spread of a fresh head's weights: on embeddings of length 1 the logits start near 0, the loss at chance."""


class AttributeNetwork(nn.Module):
    """(N, 3, 112, 112) in -1 to 1 -> raw float32 logits of each attribute.

    Race (N, 5), gender (N, 2), age (N, 100): the binary tasks "older than k", k = 0 ... 99. `backbone` gives
    the embeddings, `heads` holds a linear layer for each attribute. Raises UsageError for settings outside
    their range.
    """

    def __init__(self, config: BackboneConfig, attributes: Sequence[Attribute]) -> None:
        super().__init__()
        unknown = [name for name in attributes if name not in ATTRIBUTES]
        if unknown or not attributes or len(set(attributes)) < len(attributes):
            raise UsageError(
                f"attributes {list(attributes)}: give each of {', '.join(ATTRIBUTES)} once at most"
            )
        self.config = config
        self.attributes: tuple[Attribute, ...] = tuple(attributes)
        self.backbone = build_backbone(config)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.embedding_size, OUTPUTS[name]) for name in self.attributes}
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
        return logits.to(torch.float32)


def _without_autocast(device_type: str) -> AbstractContextManager[object]:
    # Only where autocast is on: an exported graph then holds no trace of it.
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
