"""Keeps the embeddings of a job: as a feature set, or as the files of the original system."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np

from face_analysis.bulk import Record
from face_analysis.datasets.attributes import ATTRIBUTES
from face_analysis.datasets.sources import ImageSource, path_of, place_of
from face_analysis.files import whole_file
from face_analysis.inference.embeddings import Embeddings
from face_analysis.matching.features.feature_set import BOX, INDEX, LABEL, PATH, SCORE, SUBJECT
from face_analysis.matching.features.writer import EmbeddingFile, write_index, write_source
from face_analysis.outputs import own_names
from face_analysis.types import Face, Photo

FeatureLayout = Literal["set", "original"]


class FeatureSink:
    """Features of `size` numbers in `folder`, and `index.csv`, which says what each row is.

    `layout` "set" writes a feature set; "original" a file `<parent folder>/<stem>.npy` an image. `columns` of
    the index, a text for each photo, take the place of those that the source has.
    """

    def __init__(
        self,
        folder: Path,
        source: ImageSource,
        size: int,
        layout: FeatureLayout,
        columns: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.folder = folder
        self.source = source
        self.size = size
        self._given = columns or {}
        labels = [name for name in ATTRIBUTES if name in source.labels or name in self._given]
        self._columns = [PATH, SUBJECT, LABEL, *BOX, SCORE, *labels]
        self._file: EmbeddingFile | None = None
        self._waiting: list[Embeddings] = []
        self._names: list[str] = []
        if layout == "original":
            names = (original_name(path_of(source, row)) for row in range(len(source)))
            self._names = own_names(names, (".npy",), ".npy")

    def open(self, photos: int, records: int) -> None:
        """Drop the embeddings after so many; files of the original's layout are written again."""
        if not self._names:
            self._file = EmbeddingFile(self.folder, records, self.size)

    def write(self, row: int, photo: Photo) -> Iterator[dict[str, Any]]:
        """Take the embeddings of a photo; the row of the index for each."""
        for face in photo.faces:
            assert face.embedding is not None
            if self._names:
                path = self.folder / self._names[row]
                with whole_file(path) as partial, partial.open("wb") as file:
                    np.save(file, face.embedding)
            else:
                self._waiting.append(face.embedding)
            yield self._record(row, face)

    def commit(self) -> None:
        """Write the embeddings that wait."""
        if self._file is not None and self._waiting:
            self._file.add(np.stack(self._waiting))
            self._waiting = []

    def publish(self, records: Iterable[Record]) -> None:
        """Name the files. A set has no index until all else is in its place: no reader takes half of one."""
        if self._file is not None:
            (self.folder / INDEX).unlink(missing_ok=True)
            self._file.finish()
            write_source(self.folder, place_of(self.source))
        write_index(self.folder, self._columns, records)

    def discard(self) -> None:
        """Leave no file of embeddings behind."""
        if self._file is not None:
            self._file.discard()

    def _record(self, row: int, face: Face) -> dict[str, Any]:
        labels = {name: int(values[row]) for name, values in self.source.labels.items()}
        values: dict[str, Any] = dict.fromkeys(self._columns)
        values[PATH] = self.source.name(row)
        values[LABEL] = labels.get("class")
        if SUBJECT in self.source.strings:
            values[SUBJECT] = self.source.strings[SUBJECT][row]
        if face.detection is not None:
            values |= {name: round(value, 2) for name, value in zip(BOX, face.detection.box, strict=True)}
            values[SCORE] = round(face.detection.score, 6)
        values |= {name: labels[name] for name in ATTRIBUTES if name in labels and labels[name] >= 0}
        return values | {name: texts[row] for name, texts in self._given.items()}


def original_name(path: str) -> str:
    """Where the original system keeps the feature of an image: `<parent folder>/<stem>.npy`.

    `path` is joined with the source's folder, so `x.jpg` of `faces` gives `faces/x.npy`.
    """
    image = PurePath(os.path.normpath(path))
    parent = "" if image.parent.name == ".." else image.parent.name
    return str(Path(parent) / f"{image.stem}.npy")
