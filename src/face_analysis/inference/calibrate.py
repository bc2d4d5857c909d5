"""A model on labelled photos: how sure it may be, and how well it does once it knows that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from face_analysis.bulk import Summary
from face_analysis.datasets.attributes import Attribute
from face_analysis.datasets.sources import ImageSource
from face_analysis.errors import UsageError
from face_analysis.evaluation.attributes_by_group import EvaluationReport, evaluate
from face_analysis.evaluation.fit_calibration import CalibrationFit, fit_calibration
from face_analysis.images.chips import ChipMaker
from face_analysis.inference.attributes import (
    AttributePredictor,
    PredictedArrays,
    PredictionModel,
    no_answers,
)
from face_analysis.inference.form import FormChoice
from face_analysis.inference.pipeline import FaceBlock, inputs
from face_analysis.models.age_heads import AGE_HEADS
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.weights import LoadedModel
from face_analysis.types import Face, ImageFailure, Photo
from face_analysis.zoo.card import ModelCard


@dataclass(frozen=True)
class CalibratedModel:
    """The new card, the fit behind it, and the calibrated model's report on all the images it was given.

    `labels` and `predictions` are the arrays (N,) of the report.
    """

    card: ModelCard
    fit: CalibrationFit
    report: EvaluationReport
    labels: dict[Attribute, NDArray[np.int64]]
    predictions: dict[Attribute, NDArray[np.number]]
    failures: list[ImageFailure]


def calibrate(
    model: LoadedModel[AttributeNetwork],
    source: ImageSource,
    maker: ChipMaker,
    batch_size: int = 96,
    workers: int = 2,
    choice: FormChoice | None = None,
) -> CalibratedModel:
    """Fit the calibration of a model on a random half of labelled photos, and measure it on the rest.

    The maker has to give one chip a photo. `choice` says in which form the model runs. A bar on stderr shows
    the photos. Raises EmptyDataError for too few labels, UsageError for a model whose age is one number, and
    NoAnswerError for one that gives no finite numbers.
    """
    names, age_loss = model.network.attributes, model.network.age_loss
    if "age" in names and AGE_HEADS[age_loss].gives == "number":
        raise UsageError(
            f"{model.card.name}: age trained with --age_loss {age_loss} is one number, which does not tell "
            "how sure it is; to calibrate, train with another loss"
        )
    uncalibrated = PredictionModel(model.network, {}, model.card.mirrored)
    plain = AttributePredictor(dict.fromkeys(names, uncalibrated), choice)
    found = FaceBlock(maker, batch_size=batch_size, workers=workers, keep_chips=True)(inputs(source))
    photos = iter(tqdm(found, total=len(source), desc="calibrate", unit=" photos"))
    logits, rows, failures = _logits(plain, photos, batch_size)
    Summary(len(source), len(rows), failures).check_answers()
    labels = {name: source.labels[name][rows] for name in names if name in source.labels}
    fit = fit_calibration(logits, labels)
    data = f"a random half of {len(rows)} images of {source.origin.name}; measured on the other half"
    calibration = {**fit.calibration, "data": data}

    ready = AttributePredictor(
        dict.fromkeys(names, PredictionModel(model.network, calibration, model.card.mirrored))
    )
    faces = [Face("", **given) for given in ready.estimates(logits)]
    predicted = PredictedArrays.of(faces, names)
    report = evaluate(
        labels, predicted.values, age_count=predicted.age_count, missing=len(source) - len(rows)
    )
    metrics = {
        "data": f"{report.images} images of {source.origin.name}",
        **report.to_dict(),
        "calibration_error": {name: bins.error for name, bins in fit.reliability.items()},
        "age_interval": {name: estimate.to_dict() for name, estimate in fit.intervals.items()},
    }
    card = replace(model.card, calibration=calibration, metrics=metrics)
    return CalibratedModel(card, fit, report, labels, predicted.values, failures)


def _logits(
    predictor: AttributePredictor, photos: Iterator[Photo], batch_size: int
) -> tuple[dict[Attribute, Tensor], NDArray[np.int64], list[ImageFailure]]:
    """Raw logits (N, outputs) of the face of each photo, and the rows of these photos."""
    parts: list[dict[Attribute, Tensor]] = []
    rows: list[int] = []
    failures: list[ImageFailure] = []
    numbered = enumerate(photos)
    while batch := list(islice(numbered, batch_size)):
        failures += [photo.failure for _, photo in batch if photo.failure is not None]
        cut = [(row, photo) for row, photo in batch if photo.faces]
        chips = [face.chip for _, photo in cut for face in photo.faces if face.chip is not None]
        if not chips:
            continue
        part = predictor.logits(chips)
        reasons = no_answers(part)
        failures += [_no_answer(cut[place][1], reason) for place, reason in reasons.items()]
        kept = [place for place in range(len(cut)) if place not in reasons]
        parts.append({name: values[kept] for name, values in part.items()})
        rows += [cut[place][0] for place in kept]
    logits = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}
    return logits, np.array(rows, np.int64), failures


def _no_answer(photo: Photo, reason: str) -> ImageFailure:
    return ImageFailure(photo.path, f"{photo.path}: {reason}", "no answer")
