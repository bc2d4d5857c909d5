"""The block function: photos in, faces out. Threads decode, detect and align; networks run across photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from face_analysis.bulk import BLOCK
from face_analysis.datasets.sources import ImageSource
from face_analysis.errors import FaceAnalysisError, MissingFileError, UnreadableImageError
from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode
from face_analysis.parallel import in_order
from face_analysis.types import Face, Image, ImageFailure, Input, Photo

MOST_PIXELS = 2**26
"""Pixels of kept photos after which a batch ends, so that memory does not grow: 200 MB."""


class ChipModel(Protocol):
    """A model that says something of chips."""

    def answers(self, chips: Sequence[Image]) -> list[Mapping[str, Any] | str]:
        """For each RGB uint8 chip, at least one, the fields of `Face` that the model knows, or why none."""
        ...


@dataclass(frozen=True)
class FaceBlock:
    """Finds the faces of photos, and lets models say what they know of each.

    `workers` threads decode, detect and align, at most `batch_size` photos ahead, or few ahead where
    `keep_pixels` leaves each photo its pixels. A forward pass has about `batch_size` chips, which come from
    several photos. `keep_chips` leaves each face its chip.

    Call it with any number of photos: all of a job, a part of them on another machine, or one. A photo's
    faces are the same wherever its block of BLOCK photos begins at a multiple of BLOCK.
    """

    maker: ChipMaker
    models: tuple[ChipModel, ...] = ()
    batch_size: int = 96
    workers: int = 2
    keep_chips: bool = False
    keep_pixels: bool = False

    def __call__(self, photos: Iterable[Input]) -> Iterator[Photo]:
        """The photos in their order, with their faces or the reason why there are none."""
        for batch in self._batches(photos):
            yield from map(self._stripped, self._answered(batch))

    def _batches(self, photos: Iterable[Input]) -> Iterator[list[Photo]]:
        """Photos with their chips. A batch ends with its block, at a limit, or before an error is raised."""
        ahead = 2 * self.workers if self.keep_pixels else self.batch_size
        batch: list[Photo] = []
        chips = pixels = 0
        try:
            for position, photo in enumerate(in_order(self._cut, photos, self.workers, max(ahead, 1)), 1):
                batch.append(photo)
                chips += len(photo.faces)
                pixels += 0 if photo.pixels is None else photo.pixels[..., 0].size
                if (
                    not self.models
                    or chips >= self.batch_size
                    or pixels >= MOST_PIXELS
                    or position % BLOCK == 0
                ):
                    yield batch
                    batch, chips, pixels = [], 0, 0
        except FaceAnalysisError:
            if batch:  # what was done before the error is not lost
                yield batch
            raise
        if batch:
            yield batch

    def _cut(self, photo: Input) -> Photo:
        """The photo with a face for each of its chips. Runs in a thread."""
        try:
            pixels = photo.load()
        except (UnreadableImageError, MissingFileError) as error:
            return Photo(photo.name, failure=ImageFailure(photo.name, str(error)))
        chips = self.maker.cut(pixels, photo.name)
        faces = tuple(Face(photo.name, chip.detection, chip=chip.pixels) for chip in chips)
        return Photo(photo.name, faces, pixels=pixels if self.keep_pixels else None)

    def _answered(self, batch: list[Photo]) -> list[Photo]:
        """The photos with what all models say; a face for which one has no answer is left out."""
        chips = [face.chip for photo in batch for face in photo.faces if face.chip is not None]
        if not chips or not self.models:
            return batch
        answers = zip(*(model.answers(chips) for model in self.models), strict=True)
        return [_with_answers(photo, [next(answers) for _ in photo.faces]) for photo in batch]

    def _stripped(self, photo: Photo) -> Photo:
        if self.keep_chips or not photo.faces:
            return photo
        return replace(photo, faces=tuple(replace(face, chip=None) for face in photo.faces))


def _with_answers(photo: Photo, answers: list[tuple[Mapping[str, Any] | str, ...]]) -> Photo:
    faces, failure = [], photo.failure
    for number, (face, given) in enumerate(zip(photo.faces, answers, strict=True), 1):
        reason = next((answer for answer in given if isinstance(answer, str)), None)
        if reason is None:
            known: dict[str, Any] = {}
            for answer in given:
                known |= answer  # type: ignore[arg-type]
            faces.append(replace(face, **known))
        elif failure is None:
            which = f"face {number} of {len(answers)}: " if len(answers) > 1 else ""
            failure = ImageFailure(photo.path, f"{photo.path}: {which}{reason}", "no answer")
    return replace(photo, faces=tuple(faces), failure=failure)


def inputs(source: ImageSource, start: int = 0) -> Iterator[Input]:
    """The photos of a source from row `start`, decoded when asked for."""
    for row in range(start, len(source)):
        yield Input(source.name(row), partial(_decoded, source, row))


def _decoded(source: ImageSource, row: int) -> Image:
    return decode(source.read(row), source.name(row))
