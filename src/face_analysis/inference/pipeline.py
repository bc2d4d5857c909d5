"""Photos to faces: decode, detect and align in threads, then predict in batches across photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from face_analysis.datasets.sources import ImageSource
from face_analysis.errors import (
    FaceAnalysisError,
    MissingFileError,
    NoAnswerError,
    UnreadableImageError,
)
from face_analysis.images.chips import NO_FACE, Chip, FaceCutter
from face_analysis.images.decode import decode
from face_analysis.inference.attributes import AttributePredictor
from face_analysis.parallel import in_order
from face_analysis.types import Face, Image, ImageFailure, Photo

BLOCK = 256
"""Photos after which a batch ends, full or not: what is predicted of a photo hangs on its block alone."""


class Input(NamedTuple):
    """A photo to analyse: its name, and how to get its RGB pixels.

    That may raise UnreadableImageError or MissingFileError, a failure of this photo alone.
    """

    name: str
    load: Callable[[], Image]


class Cut(NamedTuple):
    """The chips of one photo, and why it, or a chip of it, could not be used."""

    name: str
    chips: list[Chip]
    failure: ImageFailure | None

    @property
    def without_face(self) -> ImageFailure | None:
        """Why there is no chip of it: it could not be read, or no face was found."""
        return self.failure or (None if self.chips else ImageFailure(self.name, NO_FACE))

    def judged(self, reasons: Mapping[int, str]) -> Cut:
        """Without the chips that a model has no answer for; `reasons` has those by their number."""
        if not reasons:
            return self
        first = min(reasons)
        face = f"face {first + 1} of {len(self.chips)}: " if len(self.chips) > 1 else ""
        kept = [chip for number, chip in enumerate(self.chips) if number not in reasons]
        failure = ImageFailure(self.name, f"{self.name}: {face}{reasons[first]}", of_model=True)
        return Cut(self.name, kept, failure)


def inputs(source: ImageSource, start: int = 0) -> Iterator[Input]:
    """The photos of a source from row `start`, decoded when asked for."""
    for row in range(start, len(source)):
        yield Input(source.name(row), lambda row=row: decode(source.read(row), source.name(row)))  # type: ignore[misc]


def analyse(
    photos: Iterable[Input],
    cutter: FaceCutter,
    predictor: AttributePredictor,
    batch_size: int = 96,
    workers: int = 2,
) -> Iterator[Photo]:
    """The faces of each photo, in the order of the photos, whatever their number."""
    for batch in batches(photos, cutter, batch_size, workers):
        yield from _predicted(batch, predictor)


def batches(
    photos: Iterable[Input], cutter: FaceCutter, batch_size: int = 96, workers: int = 2
) -> Iterator[list[Cut]]:
    """Photos in their order, in batches that go across them.

    Threads work at most `batch_size` photos ahead, and only chips wait, so memory does not grow. A batch ends
    at `batch_size` chips, or after BLOCK photos, or before an error is raised.
    """
    batch: list[Cut] = []
    chips = 0
    try:
        for position, cut in enumerate(cut_ahead(photos, cutter, batch_size, workers), 1):
            batch.append(cut)
            chips += len(cut.chips)
            if chips >= batch_size or position % BLOCK == 0:
                yield batch
                batch, chips = [], 0
    except FaceAnalysisError:
        if batch:  # what was done before the error is not lost
            yield batch
        raise
    if batch:
        yield batch


def cut_ahead(photos: Iterable[Input], cutter: FaceCutter, ahead: int, workers: int) -> Iterator[Cut]:
    """The chips of each photo in their order, cut in `workers` threads, at most `ahead` photos in advance."""
    return in_order(partial(_cut, cutter=cutter), photos, workers, ahead)


def _cut(photo: Input, cutter: FaceCutter) -> Cut:
    try:
        return Cut(photo.name, cutter.cut(photo.load(), photo.name), None)
    except (UnreadableImageError, MissingFileError) as error:
        return Cut(photo.name, [], ImageFailure(photo.name, str(error)))


def judged(batch: list[Cut], reasons: Mapping[int, str]) -> list[Cut]:
    """The photos of a batch without the chips that a model has no answer for, by their rows among all."""
    found, start = [], 0
    for cut in batch:
        rows = range(start, start + len(cut.chips))
        found.append(cut.judged({row - start: reasons[row] for row in rows if row in reasons}))
        start = rows.stop
    return found


class Answers:
    """Counts the faces that a model gave an answer for, and remembers one that it gave none for.

    A resumed run starts with the `faces` that it has already.
    """

    def __init__(self, faces: int = 0) -> None:
        self.faces = faces
        self.failure: ImageFailure | None = None

    def add(self, faces: int, failure: ImageFailure | None) -> None:
        """Take in a photo with so many faces answered for."""
        self.faces += faces
        if failure is not None and failure.of_model:
            self.failure = self.failure or failure

    def check(self) -> None:
        """Raise NoAnswerError where the model gave none for any of the faces that it was given."""
        if self.failure is not None and not self.faces:
            raise NoAnswerError(
                f"the model gave no usable numbers for any face, such as {self.failure.reason}; "
                "its weights are damaged, or it is given images in a form that it does not take"
            )


def _predicted(batch: list[Cut], predictor: AttributePredictor) -> Iterator[Photo]:
    answers = predictor.predict([chip.pixels for cut in batch for chip in cut.chips])
    estimates = iter([answer for answer in answers if not isinstance(answer, str)])
    reasons = {row: answer for row, answer in enumerate(answers) if isinstance(answer, str)}
    for cut in judged(batch, reasons):
        faces = tuple(Face(cut.name, chip.detection, *next(estimates)) for chip in cut.chips)
        yield Photo(cut.name, faces, cut.failure)
