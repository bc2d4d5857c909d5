"""After the last step: measure the best network on the validation images, and save it with its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, CLASS_NAMES, Attribute
from face_analysis.evaluation.groups import EvaluationReport, evaluate
from face_analysis.inference.attributes import AttributePredictor, PredictedArrays, PredictionModel
from face_analysis.inference.pipeline import analyse, inputs
from face_analysis.models.weights import save_model
from face_analysis.training.run import TrainedRun
from face_analysis.zoo.card import ModelCard


@dataclass(frozen=True)
class FinishedRun:
    """The measures on the validation images, the arrays (N,) they were taken from, and the weights."""

    report: EvaluationReport
    labels: dict[Attribute, NDArray[np.int64]]
    predictions: dict[Attribute, NDArray[np.number]]
    weights: Path


def finish(run: TrainedRun) -> FinishedRun:
    """Evaluate the run's network as `predict` uses it, and write `model.safetensors`. Raises WriteError."""
    source, options = run.validation.source, run.options
    names = run.network.attributes
    predictor = AttributePredictor(dict.fromkeys(names, PredictionModel(run.network, {})))
    photos = list(analyse(inputs(source), run.validation.cutter, predictor, workers=options.workers))
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
    save_model(run.folder.weights, run.network, _card(run, report))
    return FinishedRun(report, labels, predicted.values, run.folder.weights)


def _card(run: TrainedRun, report: EvaluationReport) -> ModelCard:
    names = run.network.attributes
    return ModelCard(
        name=run.folder.path.resolve().name,
        tasks=names,
        backbone=run.network.config,
        labels={name: list(CLASS_NAMES[name]) for name in names if name in CLASS_NAMES},
        training_data=f"{len(run.training)} images of {run.training.source.origin.name}",
        licence=run.options.model_licence,
        metrics={
            "data": f"{report.images} images of {run.validation.source.origin.name}",
            **report.to_dict(),
        },
    )
