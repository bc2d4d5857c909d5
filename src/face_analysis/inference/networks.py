"""The networks that a prediction is made with, from files of this package or of the original system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from face_analysis.datasets.attributes import Attribute
from face_analysis.errors import UsageError
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.original import read_original
from face_analysis.models.weights import load_model


def open_networks(
    joint: Path | None, separate: Mapping[Attribute, Path | None], depth: int = 50, mode: str = "ir_se"
) -> dict[Attribute, AttributeNetwork]:
    """A network for each attribute: those of `joint`, but for attributes in `separate` these files.

    A file named twice is loaded once. Original `.pth` files do not say their `depth` and `mode`.
    Raises UsageError where no file is given, MissingFileError, and ModelMismatchError for the wrong file.
    """
    networks: dict[Attribute, AttributeNetwork] = {}
    if joint is not None:
        network = load_model(joint).network
        networks = dict.fromkeys(network.attributes, network)
    loaded: dict[Path, AttributeNetwork] = {}
    for attribute, path in separate.items():
        if path is None:
            continue
        if path.suffix == ".pth":
            networks[attribute] = read_original(path, attribute=attribute, depth=depth, mode=mode)[0]
            continue
        if path not in loaded or attribute not in loaded[path].attributes:
            loaded[path] = load_model(path, (attribute,)).network
        networks[attribute] = loaded[path]
    if not networks:
        raise UsageError("no model given: use --model, or --race_model, --gender_model, --age_model")
    return networks
