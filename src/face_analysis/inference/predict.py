"""Keeps the predictions of a job: one file of rows, and annotated copies of the photos if they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_analysis.bulk import Record
from face_analysis.datasets.predictions.files import (
    PATH_COLUMN,
    PredictionColumns,
    PredictionLayout,
    write_predictions,
)
from face_analysis.datasets.sources import ImageSource, path_of
from face_analysis.types import Photo


@dataclass(frozen=True)
class PredictionSink:
    """A file of predictions at `path`; `annotate` is called for each photo with its row in the source.

    The original's layout joins the path of a photo with its folder.
    """

    path: Path
    layout: PredictionLayout
    columns: PredictionColumns
    source: ImageSource
    annotate: Callable[[int, Photo], None] = lambda row, photo: None

    def open(self, photos: int, records: int) -> None:
        """Nothing is kept but the journal's records."""

    def write(self, row: int, photo: Photo) -> Iterator[dict[str, Any]]:
        """The record of each face."""
        self.annotate(row, photo)
        for number, face in enumerate(photo.faces):
            record = self.columns.record(face, number)
            if self.layout == "original":
                record[PATH_COLUMN] = path_of(self.source, row)
            yield record

    def commit(self) -> None:
        """Nothing is kept but the journal's records."""

    def publish(self, records: Iterable[Record]) -> None:
        """Write the file."""
        write_predictions(self.path, self.columns, records, self.layout)

    def discard(self) -> None:
        """Nothing was written but annotated copies, which stay."""
