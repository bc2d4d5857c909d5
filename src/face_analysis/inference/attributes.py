"""Race, gender and age of aligned chips, by models from files of this package or of the original system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, Attribute
from face_analysis.errors import UsageError
from face_analysis.evaluation.fit_calibration import age_interval
from face_analysis.images.normalise import normalise
from face_analysis.inference.forks import check_fork, prepare_forks
from face_analysis.inference.form import FormChoice, library_choice
from face_analysis.losses.age import AGE_LOSSES
from face_analysis.losses.ordinal import counted_age, expected_age
from face_analysis.machine import Form
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.file_kind import kind_of
from face_analysis.models.original import read_original
from face_analysis.models.precision import for_inference
from face_analysis.models.weights import load_attributes
from face_analysis.types import AgeEstimate, ClassEstimate, Face, Image
from face_analysis.zoo.find import find

Calibration = Mapping[str, Any]
"""As in a model card: for each attribute its `temperature`, for age the `quantile` of its interval too."""


@dataclass(frozen=True)
class PredictionModel:
    """A network and its calibration; an empty one leaves probabilities as the network gives them.

    With `mirrored` its logits are averaged over a chip and its mirror image.
    """

    network: AttributeNetwork
    calibration: Calibration
    mirrored: bool = False


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


class AttributePredictor:
    """Predicts with one model for each attribute; several attributes may share a network, which runs once.

    Uses the device and, measured at the first use, the form that `choice` says; by default a GPU where there
    is one, and the fastest number format.
    """

    def __init__(self, models: Mapping[Attribute, PredictionModel], choice: FormChoice | None = None) -> None:
        prepare_forks()
        self.choice = choice or library_choice()
        self.device = self.choice.device
        self.attributes = tuple(name for name in ATTRIBUTES if name in models)
        self._calibration = {name: models[name].calibration.get(name, {}) for name in self.attributes}
        if "age" in models:
            self._age_tasks = AGE_LOSSES[models["age"].network.age_loss].threshold_logits
        distinct = {id(models[name].network): models[name] for name in self.attributes}
        self._models: list[tuple[PredictionModel, list[Attribute]]] = [
            (model, [name for name in self.attributes if models[name].network is model.network])
            for model in distinct.values()
        ]

    @cached_property
    def form(self) -> Form:
        """The form that the networks run in."""
        return self.choice.form([model.network for model, _ in self._models], " + ".join(self.attributes))

    @cached_property
    def _jobs(self) -> list[tuple[nn.Module, bool, list[Attribute]]]:
        return [
            (for_inference(model.network, self.device, self.form), model.mirrored, attributes)
            for model, attributes in self._models
        ]

    @property
    def gives_intervals(self) -> bool:
        """Whether ages come with an interval."""
        return "quantile" in self._calibration.get("age", {})

    def answers(self, chips: Sequence[Image]) -> list[Mapping[str, Any] | str]:
        """The estimates of each RGB uint8 chip (112, 112, 3) by attribute, or why there are none."""
        logits = self.logits(chips)
        reasons = no_answers(logits)
        kept = torch.tensor([row not in reasons for row in range(len(chips))])
        estimates = iter(self.estimates({name: rows[kept] for name, rows in logits.items()}))
        return [reasons[row] if row in reasons else next(estimates) for row in range(len(chips))]

    @torch.inference_mode()
    def logits(self, chips: Sequence[Image]) -> dict[Attribute, Tensor]:
        """Raw float32 logits on the CPU of RGB uint8 chips, at least one, (112, 112, 3) each.

        Race (N, 5), gender (N, 2), and for age those of the tasks "older than k" (N, 100), whatever loss the
        network was trained with. All are NaN in a row for which the network gave a number that is not finite.
        """
        check_fork(self.device)
        images = normalise(torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).to(self.device))
        logits: dict[Attribute, Tensor] = {}
        for network, mirrored, attributes in self._jobs:
            output = network(images)
            if mirrored:
                turned = network(images.flip(3))
                output = {name: (output[name] + turned[name]) / 2 for name in attributes}
            logits |= {name: output[name].cpu() for name in attributes}
        finite = {name: rows.isfinite().all(dim=1, keepdim=True) for name, rows in logits.items()}
        if "age" in logits:
            logits["age"] = self._age_tasks(logits["age"])
        return {name: rows.where(finite[name], torch.nan) for name, rows in logits.items()}

    def estimates(self, logits: Mapping[Attribute, Tensor]) -> list[dict[str, Any]]:
        """What raw logits of each attribute, as `logits` gives them, say after the models' calibration.

        For each face a ClassEstimate of race and of gender and an AgeEstimate, as far as there are models.
        """
        columns = {name: self._estimates(name, logits[name]) for name in self.attributes}
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(self.attributes, row, strict=True)) for row in rows]

    def _estimates(self, name: Attribute, logits: Tensor) -> list[Any]:
        calibration = self._calibration[name]
        scaled = logits / calibration.get("temperature", 1.0)
        if name == "age":
            return _ages(scaled, age_interval(logits, calibration["quantile"]) if calibration else None)
        probabilities = scaled.softmax(dim=1).numpy()
        return [ClassEstimate(CLASS_NAMES[name], row) for row in probabilities]


def no_answers(logits: Mapping[Attribute, Tensor]) -> dict[int, str]:
    """The rows of `AttributePredictor.logits` that are no answer, each with the reason."""
    wrong = {name: rows.isnan().any(dim=1) for name, rows in logits.items()}
    rows = torch.stack(list(wrong.values())).any(dim=0).nonzero().flatten().tolist()
    named = {row: " and ".join(name for name in wrong if wrong[name][row]) for row in rows}
    return {row: f"the model's {names} is not finite (NaN or infinite)" for row, names in named.items()}


def _ages(logits: Tensor, interval: tuple[Tensor, Tensor] | None) -> list[AgeEstimate]:
    years, counts = expected_age(logits).tolist(), counted_age(logits).tolist()
    if interval is None:
        return [AgeEstimate(age, count) for age, count in zip(years, counts, strict=True)]
    columns = zip(years, counts, *(ends.tolist() for ends in interval), strict=True)
    return [AgeEstimate(*row) for row in columns]


@dataclass(frozen=True)
class PredictedArrays:
    """Estimates of N faces as arrays (N,): class codes or expected ages, and the counted ages."""

    values: dict[Attribute, NDArray[np.number]]
    age_count: NDArray[np.int64] | None

    @classmethod
    def of(cls, faces: Sequence[Face], attributes: tuple[Attribute, ...]) -> PredictedArrays:
        """Gather faces that all have estimates of these attributes."""
        ages = [face.age for face in faces if face.age is not None]
        values: dict[Attribute, NDArray[np.number]] = {}
        for name in attributes:
            if name == "age":
                values[name] = np.array([age.years for age in ages], np.float64)
            else:
                values[name] = np.array([getattr(face, name).code for face in faces], np.int64)
        counts = np.array([age.count for age in ages], np.int64) if "age" in attributes else None
        return cls(values, counts)
