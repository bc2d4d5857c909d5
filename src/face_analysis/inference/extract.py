"""Embeddings of a whole source into a feature set, by way of a journal that survives a kill."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np

from face_analysis.datasets.attributes import ATTRIBUTES
from face_analysis.datasets.sources import FolderSource, ImageSource, names_sha256, path_of
from face_analysis.errors import NoAnswerError
from face_analysis.files import FailureLog, whole_file
from face_analysis.images.chips import Chip, FaceCutter
from face_analysis.inference.embedder import Embedder
from face_analysis.inference.embeddings import Embeddings, faults
from face_analysis.inference.pipeline import BLOCK, Answers, Cut, batches, inputs, judged
from face_analysis.journal import Journal
from face_analysis.matching.features.feature_set import BOX, INDEX, LABEL, PATH, SCORE, SUBJECT
from face_analysis.matching.features.writer import EmbeddingFile, write_index, write_source
from face_analysis.outputs import own_names

Layout = Literal["set", "original"]


@dataclass(frozen=True)
class ExtractRun:
    """Where features go and how they are made.

    `layout` "set" writes a feature set; "original" a file `<parent folder>/<stem>.npy` an image.
    """

    dest: Path
    layout: Layout
    batch_size: int
    workers: int
    resume: bool


def extract_source(
    source: ImageSource,
    cutter: FaceCutter,
    embedder: Embedder,
    failures: FailureLog,
    run: ExtractRun,
    settings: dict[str, Any],
) -> Iterator[Cut]:
    """Embed the faces of all photos of a source, giving each photo when it is done.

    Photos that cannot be read, those without a face and those that the model has no embedding for go to
    `failures`. A resumed run, which must have the same `settings`, leaves the same files as an undisturbed
    one. Raises UsageError, WriteError, and NoAnswerError where the model has no embedding for any face.
    """
    columns = [PATH, SUBJECT, LABEL, *BOX, SCORE, *(name for name in ATTRIBUTES if name in source.labels)]
    identity = {"photos": names_sha256(source), "layout": run.layout, **settings}
    with Journal(run.dest / INDEX, identity, resume=run.resume) as journal:
        kept, done = sum(1 for _ in journal.records()), journal.done
        sink, answers = _Sink(run, source, kept, embedder.size), Answers(kept)
        for cuts in batches(inputs(source, done), cutter, run.batch_size, run.workers):
            batch, embeddings = _embedded(cuts, embedder)
            records = [
                _record(source, row, chip, columns)
                for row, cut in enumerate(batch, done)
                for chip in cut.chips
            ]
            if len(embeddings):
                sink.add([row for row, cut in enumerate(batch, done) for _ in cut.chips], embeddings)
            for record in records:
                journal.add(record)
            failures.add(filter(None, (cut.without_face for cut in batch)))
            for cut in batch:
                answers.add(len(cut.chips), cut.failure)
            done += len(batch)
            if done % BLOCK == 0 or done == len(source):
                journal.mark(done)
            yield from batch
        try:
            answers.check()
        except NoAnswerError:
            sink.discard()
            journal.remove()
            raise
        sink.finish()
        if run.layout == "set":
            write_source(run.dest, _place(source))
        write_index(run.dest, columns, journal.records())
        journal.remove()


def _embedded(batch: list[Cut], embedder: Embedder) -> tuple[list[Cut], Embeddings]:
    """The photos without the chips that the model has no embedding for, and the embeddings of the others."""
    chips = [chip.pixels for cut in batch for chip in cut.chips]
    if not chips:
        return batch, np.empty((0, embedder.size), np.float32)
    embeddings = embedder.embed(np.stack(chips))
    reasons = faults(embeddings)
    return judged(batch, reasons), np.delete(embeddings, list(reasons), axis=0)


class _Sink:
    """The array of a feature set, or the files of the original."""

    def __init__(self, run: ExtractRun, source: ImageSource, rows: int, size: int) -> None:
        self.dest = run.dest
        self.file, self.names = None, []
        if run.layout == "set":
            self.file = EmbeddingFile(run.dest, rows, size)
        else:
            names = (original_name(path_of(source, row)) for row in range(len(source)))
            self.names = own_names(names, (".npy",), ".npy")

    def add(self, rows: list[int], embeddings: Embeddings) -> None:
        """Keep the embeddings of one face each of these rows of the source."""
        if self.file is not None:
            self.file.add(embeddings)
            return
        for row, embedding in zip(rows, embeddings, strict=True):
            with whole_file(self.dest / self.names[row]) as partial, partial.open("wb") as file:
                np.save(file, embedding)

    def finish(self) -> None:
        if self.file is not None:
            self.file.finish()

    def discard(self) -> None:
        """Leave no file behind where there is no embedding."""
        if self.file is not None:
            self.file.discard()


def original_name(path: str) -> str:
    """Where the original system keeps the feature of an image: `<parent folder>/<stem>.npy`.

    `path` is joined with the source's folder, so `x.jpg` of `faces` gives `faces/x.npy`.
    """
    image = PurePath(os.path.normpath(path))
    parent = "" if image.parent.name == ".." else image.parent.name
    return str(Path(parent) / f"{image.stem}.npy")


def _place(source: ImageSource) -> Path:
    """What the names of a source's images are relative to: a folder, or the packed file itself."""
    return source.root or Path() if isinstance(source, FolderSource) else source.origin


def _record(source: ImageSource, row: int, chip: Chip, columns: list[str]) -> dict[str, Any]:
    labels = {name: int(values[row]) for name, values in source.labels.items()}
    values: dict[str, Any] = dict.fromkeys(columns)
    values[PATH] = source.name(row)
    values[LABEL] = labels.get("class")
    if SUBJECT in source.strings:
        values[SUBJECT] = source.strings[SUBJECT][row]
    if chip.detection is not None:
        values |= {name: round(value, 2) for name, value in zip(BOX, chip.detection.box, strict=True)}
        values[SCORE] = round(chip.detection.score, 6)
    return values | {name: labels[name] for name in ATTRIBUTES if name in labels and labels[name] >= 0}
