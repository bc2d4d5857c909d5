"""The model card: what a set of weights is for, how it wants its input, and the hash that proves it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

from face_analysis.errors import ModelMismatchError
from face_analysis.json_files import json_text
from face_analysis.options import Range

BackboneName = Literal["iresnet", "mobilefacenet", "mobilenet"]
AgeLossName = Literal["ordinal", "pairs", "coral", "corn", "dex", "dldl", "mean_variance", "l1", "l2"]
RECOGNITION: Final = "recognition"
"""The one task of a model that is a backbone alone: its embeddings are what it gives."""


WIDTH, DROPOUT = Range(over=0, high=8), Range(low=0, below=1)


@dataclass(frozen=True)
class BackboneConfig:
    """The network under the heads.

    `depth` (18, 34, 50, 100, 152) and `mode` (ir, ir_se) apply to iresnet; `width`, within WIDTH, scales the
    channels; `dropout`, within DROPOUT, is that before the embedding.
    """

    name: BackboneName = "iresnet"
    depth: int = 50
    mode: str = "ir_se"
    width: float = 1.0
    dropout: float = 0.4
    embedding_size: int = 512


@dataclass(frozen=True)
class ModelCard:
    """Travels inside the weights file; see docs/concepts/model_cards.md for every field.

    `tasks` are attributes, a head each, or RECOGNITION alone: a backbone without heads, and no `labels`.
    `age_loss` is what age was trained with, and so how the outputs of its head are to be read. With
    `mirrored` what the network says of a chip and of its mirror image is averaged, as logits.
    `calibration` holds each attribute's `temperature`, for age the conformal `quantile` and its `coverage`
    too, and says on what `data` they were fitted. `metrics` maps attribute -> measure -> {value, low, high,
    count}; `sha256` is over the tensors, sorted by name, and is filled in when the weights are saved.
    """

    name: str
    tasks: tuple[str, ...]
    backbone: BackboneConfig
    labels: dict[str, list[str]] = field(default_factory=dict)
    template: str = "arcface-112"
    colour_order: str = "RGB"
    normalisation: str = "x/127.5-1"
    training_data: str = "not stated"
    licence: str = "not stated"
    intended_use: str = "research on face attributes as annotators perceived them, and on errors of models"
    not_intended_for: str = (
        "decisions about a person, identification, surveillance, "
        "or stating anybody's race, gender or age as a fact"
    )
    age_loss: AgeLossName = "ordinal"
    mirrored: bool = False
    calibration: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    def to_json(self) -> str:
        """The card as JSON text."""
        return json_text(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, origin: str) -> ModelCard:
        """Read a card; `origin` names the file in errors. Raises ModelMismatchError for a foreign one."""
        try:
            values = json.loads(text)
            unknown = set(values) - {f.name for f in fields(cls)}
            if unknown:
                raise ModelMismatchError(f"{origin}: the model card has unknown fields {sorted(unknown)}")
            values["backbone"] = BackboneConfig(**values["backbone"])
            values["tasks"] = tuple(values["tasks"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelMismatchError(f"{origin}: the model card cannot be read ({error})") from error


def recognition_card(name: str, backbone: BackboneConfig, **about: Any) -> ModelCard:
    """The card of a bare backbone; `about` are further fields (training_data, licence, metrics ...)."""
    uses = {
        "intended_use": "research on face recognition, and on errors of models",
        "not_intended_for": "surveillance, or decisions about a person that nobody checks",
    }
    return ModelCard(name=name, tasks=(RECOGNITION,), backbone=backbone, **(uses | about))
