"""After the last step: measure the best network as it will be used, and save it with its card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, Attribute
from face_analysis.datasets.faces import FaceDataset
from face_analysis.evaluation.attributes_by_group import EvaluationReport, evaluate
from face_analysis.evaluation.verification import VerificationReport
from face_analysis.inference.attributes import AttributePredictor, PredictedArrays, PredictionModel
from face_analysis.inference.embedder import TorchEmbedder, WithMirror
from face_analysis.inference.pipeline import FaceBlock, inputs
from face_analysis.inference.verify import verify_set
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.models.weights import save_model
from face_analysis.training.data import PairImages
from face_analysis.training.run import TrainedRun
from face_analysis.zoo.card import ModelCard, recognition_card


@dataclass(frozen=True)
class FinishedAttributes:
    """The measures on the validation images, and the arrays (N,) they were taken from."""

    report: EvaluationReport
    labels: dict[Attribute, NDArray[np.int64]]
    predictions: dict[Attribute, NDArray[np.number]]


def finish_attributes(run: TrainedRun) -> FinishedAttributes:
    """Evaluate the run's network as `predict` uses it, and write `model.safetensors`. Raises WriteError."""
    (validation,) = run.plan.validation
    assert isinstance(validation, FaceDataset)
    assert isinstance(run.network, AttributeNetwork)
    source, names = validation.source, run.network.attributes
    predictor = AttributePredictor(dict.fromkeys(names, PredictionModel(run.network, {})))
    block = FaceBlock(validation.maker, (predictor,), workers=run.options.workers)
    photos = list(block(inputs(source)))
    run.failures.add(photo.failure for photo in photos if photo.failure is not None)
    rows = np.array([row for row, photo in enumerate(photos) if photo.faces], np.int64)
    predicted = PredictedArrays.of([photos[row].faces[0] for row in rows], names)
    labels = {name: source.labels[name][rows] for name in ATTRIBUTES if name in source.labels}
    report = evaluate(
        labels,
        predicted.values,
        age_count=predicted.age_count,
        missing=len(source) - len(rows),
    )
    card = ModelCard(
        name=run.folder.path.resolve().name,
        tasks=names,
        backbone=run.network.config,
        labels={name: list(CLASS_NAMES[name]) for name in names if name in CLASS_NAMES},
        age_loss=run.network.age_loss,
        training_data=_training_data(run),
        licence=run.options.model_licence,
        metrics={"data": f"{report.images} images of {source.origin.name}", **report.to_dict()},
    )
    save_model(run.folder.weights, run.network, card)
    return FinishedAttributes(report, labels, predicted.values)


def finish_recognition(run: TrainedRun) -> list[VerificationReport]:
    """Measure the run's network on its verification sets, mirror images added, and write
    `model.safetensors`. Raises WriteError."""
    assert isinstance(run.network, Backbone)
    embedder = WithMirror(TorchEmbedder(run.network))
    reports = [
        verify_set(data.pair_set, embedder, run.failures)
        for data in run.plan.validation
        if isinstance(data, PairImages)
    ]
    card = recognition_card(
        run.folder.path.resolve().name,
        run.options.backbone_config,
        training_data=_training_data(run),
        licence=run.options.model_licence,
        metrics={report.name: report.to_dict() for report in reports},
    )
    save_model(run.folder.weights, run.network, card)
    return reports


def _training_data(run: TrainedRun) -> str:
    return f"{len(run.plan.training)} images of {run.plan.training.source.origin.name}"
