"""Photos on stdout: a line a face in words, or as the files of predictions have it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from face_analysis.datasets.predictions.files import Layout, PredictionColumns, prediction_lines
from face_analysis.images.chips import NO_FACE
from face_analysis.reports.annotate import describe
from face_analysis.types import Photo


def print_photos(photos: Iterable[Photo], layout: Layout | None, columns: PredictionColumns) -> int:
    """Print photos as they come, in words where there is no layout; returns how many failed.

    What is not a face goes to stderr: why photos or faces could not be used, and with a layout which photos
    show none.
    """
    unread = 0

    def readable() -> Iterator[Photo]:
        nonlocal unread
        for photo in photos:
            if photo.failure is not None:
                unread += 1
                print(photo.failure.reason, file=sys.stderr)
            if photo.failure is None or photo.faces:
                yield photo

    lines: Iterator[str]
    if layout is None:
        lines = (f"{line}\n" for photo in readable() for line in describe(photo))
    else:
        lines = prediction_lines(columns, _records(readable(), columns), layout)
    for line in lines:
        print(line, end="", flush=True)
    return unread


def _records(photos: Iterable[Photo], columns: PredictionColumns) -> Iterator[dict[str, Any]]:
    for photo in photos:
        if not photo.faces:
            print(f"{photo.path}: {NO_FACE}", file=sys.stderr)
        for number, face in enumerate(photo.faces):
            yield columns.record(face, number)
