"""Photos to faces: decode, detect and align in threads, then predict in batches across photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from face_analysis.datasets.sources import ImageSource
from face_analysis.errors import UnreadableImageError
from face_analysis.images.chips import NO_FACE, Chip, FaceCutter
from face_analysis.images.decode import decode
from face_analysis.inference.attributes import AttributePredictor
from face_analysis.parallel import in_order
from face_analysis.types import Face, Image, ImageFailure, Photo

BLOCK = 256
"""Photos after which a batch ends, full or not: what is predicted of a photo hangs on its block alone."""


class Input(NamedTuple):
    """A photo to analyse: its name, and how to get its RGB pixels (may raise UnreadableImageError)."""

    name: str
    load: Callable[[], Image]


class Cut(NamedTuple):
    """The chips of one photo, or why it could not be read."""

    name: str
    chips: list[Chip]
    failure: ImageFailure | None

    @property
    def without_face(self) -> ImageFailure | None:
        """Why there is no chip of it: it could not be read, or no face was found."""
        return self.failure or (None if self.chips else ImageFailure(self.name, NO_FACE))


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
    at `batch_size` chips, or after BLOCK photos.
    """
    batch: list[Cut] = []
    chips = 0
    for position, cut in enumerate(cut_ahead(photos, cutter, batch_size, workers), 1):
        batch.append(cut)
        chips += len(cut.chips)
        if chips >= batch_size or position % BLOCK == 0:
            yield batch
            batch, chips = [], 0
    if batch:
        yield batch


def cut_ahead(photos: Iterable[Input], cutter: FaceCutter, ahead: int, workers: int) -> Iterator[Cut]:
    """The chips of each photo in their order, cut in `workers` threads, at most `ahead` photos in advance."""
    return in_order(partial(_cut, cutter=cutter), photos, workers, ahead)


def _cut(photo: Input, cutter: FaceCutter) -> Cut:
    try:
        return Cut(photo.name, cutter.cut(photo.load(), photo.name), None)
    except UnreadableImageError as error:
        return Cut(photo.name, [], ImageFailure(photo.name, str(error)))


def _predicted(batch: list[Cut], predictor: AttributePredictor) -> Iterator[Photo]:
    estimates = iter(predictor.predict([chip.pixels for cut in batch for chip in cut.chips]))
    for cut in batch:
        faces = tuple(Face(cut.name, chip.detection, *next(estimates)) for chip in cut.chips)
        yield Photo(cut.name, faces, cut.failure)
