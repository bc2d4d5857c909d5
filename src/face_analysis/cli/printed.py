"""Photos on stdout: a line a face in words, or as the files of predictions have it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from face_analysis.datasets.predictions.files import PredictionColumns, PredictionLayout, prediction_lines
from face_analysis.reports.describe import describe
from face_analysis.types import NO_FACE, Photo


def print_photos(
    photos: Iterable[Photo], layout: PredictionLayout | None, columns: PredictionColumns
) -> None:
    """Print photos as they come, in words where there is no layout.

    What is not a face goes to stderr: why photos or faces could not be used, and with a layout which photos
    show none.
    """
    lines: Iterator[str]
    if layout is None:
        lines = (f"{line}\n" for photo in _readable(photos) for line in describe(photo))
    else:
        lines = prediction_lines(columns, _records(_readable(photos), columns), layout)
    for line in lines:
        print(line, end="", flush=True)


def _readable(photos: Iterable[Photo]) -> Iterator[Photo]:
    for photo in photos:
        if photo.failure is not None:
            print(photo.failure.reason, file=sys.stderr)
        if photo.failure is None or photo.faces:
            yield photo


def _records(photos: Iterable[Photo], columns: PredictionColumns) -> Iterator[dict[str, Any]]:
    for photo in photos:
        if not photo.faces:
            print(f"{photo.path}: {NO_FACE}", file=sys.stderr)
        for number, face in enumerate(photo.faces):
            yield columns.record(face, number)
