"""The models that a prediction is made with, from files of this package or of the original system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from face_analysis.datasets.attributes import Attribute
from face_analysis.errors import UsageError
from face_analysis.inference.attributes import PredictionModel
from face_analysis.models.file_kind import kind_of
from face_analysis.models.original import read_original
from face_analysis.models.weights import load_attributes
from face_analysis.zoo.find import find


def open_models(
    joint: str | Path | None,
    separate: Mapping[Attribute, Path | None] | None = None,
    depth: int = 50,
    mode: str = "ir_se",
) -> dict[Attribute, PredictionModel]:
    """A model for each attribute: that of `joint`, but for attributes in `separate` these files.

    `joint` is a file or a name of the zoo. A file named twice is loaded once, and its content decides what it
    is, not its name. Original `.pth` files do not say their `depth` and `mode`. Raises UsageError where no
    model is given, MissingFileError, and ModelMismatchError for the wrong file.
    """
    models: dict[Attribute, PredictionModel] = {}
    if joint is not None:
        model = _load(find(joint))
        models = dict.fromkeys(model.network.attributes, model)
    loaded: dict[Path, PredictionModel] = {}
    for attribute, path in (separate or {}).items():
        if path is None:
            continue
        if kind_of(path).name == "torch":
            network, _ = read_original(path, attribute=attribute, depth=depth, mode=mode)
            models[attribute] = PredictionModel(network, {})
            continue
        if path not in loaded or attribute not in loaded[path].network.attributes:
            loaded[path] = _load(path, attribute)
        models[attribute] = loaded[path]
    if not models:
        raise UsageError("no model given: use --model, or --race_model, --gender_model, --age_model")
    return models


def _load(path: Path, *tasks: Attribute) -> PredictionModel:
    model = load_attributes(path, tasks)
    return PredictionModel(model.network, model.card.calibration, model.card.mirrored)
