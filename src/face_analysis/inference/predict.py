"""Predictions of a whole source into one file, by way of a journal that survives a kill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_analysis.datasets.predictions.files import (
    PATH_COLUMN,
    Layout,
    PredictionColumns,
    write_predictions,
)
from face_analysis.datasets.sources import ImageSource, names_sha256, path_of
from face_analysis.errors import NoAnswerError
from face_analysis.files import FailureLog
from face_analysis.images.chips import NO_FACE, FaceCutter
from face_analysis.inference.attributes import AttributePredictor
from face_analysis.inference.pipeline import BLOCK, Answers, analyse, inputs
from face_analysis.journal import Journal
from face_analysis.types import ImageFailure, Photo


@dataclass(frozen=True)
class PredictionRun:
    """Where predictions go and how they are made; the original's layout joins paths with their folder."""

    path: Path
    layout: Layout
    batch_size: int
    workers: int
    resume: bool


def predict_source(
    source: ImageSource,
    cutter: FaceCutter,
    predictor: AttributePredictor,
    failures: FailureLog,
    run: PredictionRun,
    settings: dict[str, Any],
) -> Iterator[tuple[int, Photo]]:
    """Predict all photos of a source, giving each with its row when it is done; write the file at the end.

    `settings` are what the predictions depend on beside the photos: a run is resumed with the same alone. A
    resumed run gives the photos not done yet, and its file equals that of an undisturbed one. Photos that
    cannot be read, those without a face and those that a model has no answer for go to `failures`. Raises
    UsageError, WriteError, and NoAnswerError where the models have no answer for any face.
    """
    columns = PredictionColumns(
        predictor.attributes, located=cutter.detector is not None, intervals=predictor.gives_intervals
    )
    identity = {"photos": names_sha256(source), **settings}
    with Journal(run.path, identity, resume=run.resume) as journal:
        answers = Answers(sum(1 for _ in journal.records()))
        photos = analyse(inputs(source, journal.done), cutter, predictor, run.batch_size, run.workers)
        for position, photo in enumerate(photos, journal.done + 1):
            for number, face in enumerate(photo.faces):
                record = columns.record(face, number)
                if run.layout == "original":
                    record[PATH_COLUMN] = path_of(source, position - 1)
                journal.add(record)
            answers.add(len(photo.faces), photo.failure)
            if photo.failure is not None:
                failures.add([photo.failure])
            elif not photo.faces:
                failures.add([ImageFailure(photo.path, NO_FACE)])
            if position % BLOCK == 0 or position == len(source):
                journal.mark(position)
            yield position - 1, photo
        try:
            answers.check()
        except NoAnswerError:
            journal.remove()
            raise
        write_predictions(run.path, columns, journal.records(), run.layout)
        journal.remove()
