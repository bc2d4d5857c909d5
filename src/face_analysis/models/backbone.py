"""One way from a card's backbone settings to the network."""

from __future__ import annotations

from typing import get_args

from face_analysis.errors import UsageError
from face_analysis.models.iresnet import MODES, UNITS, IResNet
from face_analysis.models.layers import Backbone
from face_analysis.models.mobilenets import MobileFaceNet, MobileNet
from face_analysis.options import Range
from face_analysis.zoo.card import DROPOUT, WIDTH, BackboneConfig, BackboneName


def build_backbone(config: BackboneConfig) -> Backbone:
    """A fresh backbone: (N, 3, 112, 112) -> (N, embedding_size) float32 of norm 1.

    Raises UsageError, naming what is allowed, for a setting outside its range.
    """
    _check(config)
    if config.name == "mobilefacenet":
        return MobileFaceNet(config.width, config.dropout, config.embedding_size)
    if config.name == "mobilenet":
        return MobileNet(config.width, config.dropout, config.embedding_size)
    return IResNet(config.depth, config.mode, config.width, config.dropout, config.embedding_size)


def _check(config: BackboneConfig) -> None:
    names = get_args(BackboneName)
    _require(config.name in names, "backbone", config.name, f"one of {', '.join(names)}")
    if config.name == "iresnet":
        _require(config.depth in UNITS, "depth", config.depth, f"one of {', '.join(map(str, UNITS))}")
        _require(config.mode in MODES, "net_mode", config.mode, f"one of {', '.join(MODES)}")
    _require(_is_number(config.width, WIDTH), "width", config.width, f"a number {WIDTH}")
    _require(_is_number(config.dropout, DROPOUT), "dropout", config.dropout, f"a number {DROPOUT}")
    size = config.embedding_size
    _require(isinstance(size, int) and size > 0, "embedding_size", size, "a whole number over 0")


def _is_number(value: object, within: Range) -> bool:
    # A card comes from a file: its JSON may hold anything here.
    return isinstance(value, int | float) and value in within


def _require(holds: bool, option: str, value: object, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{option} {value!r} is not possible: give {allowed}")
