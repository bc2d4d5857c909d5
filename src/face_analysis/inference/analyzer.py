"""The way in from Python: photos in, typed faces out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import MissingFileError, NoAnswerError, UnreadableImageError, UsageError
from face_analysis.images.boxes import Wanted
from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode
from face_analysis.images.detect import THRESHOLD
from face_analysis.images.limits import read_picture_file
from face_analysis.inference.attributes import AttributePredictor, open_models
from face_analysis.inference.form import library_choice
from face_analysis.inference.pipeline import FaceBlock
from face_analysis.machine import Precision
from face_analysis.types import Face, Image, Input, Photo

BUNDLED = "attributes"
"""The zoo's name of the model that comes with the package."""


class FaceAnalyzer:
    """Finds the faces of photos and estimates race, gender and age of each as annotators would perceive them.

    `model` is a file or a name of the zoo. `faces` are wanted "all", or the "largest" or the one nearest the
    "centre" alone, from `min_size` pixels (longer side of the box). With `aligned` each picture is one
    aligned chip, and nothing is searched. `rotations` searches the photo turned by 90, 180 and 270 degrees
    too. With `whole` a photo in which no face is found is taken as one face. `device` is auto, cpu, cuda or
    cuda:N; `precision` "auto" is what is measured fastest here, "32-true" the same numbers everywhere.

    >>> FaceAnalyzer().analyze("group.jpg")[0].gender.label          # doctest: +SKIP
    'female'
    """

    def __init__(
        self,
        model: str | Path = BUNDLED,
        *,
        faces: Wanted = "all",
        min_size: float = 0,
        aligned: bool = False,
        rotations: bool = False,
        whole: bool = False,
        threshold: float = THRESHOLD,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.maker = (
            ChipMaker()
            if aligned
            else ChipMaker.with_detector(faces, min_size, threshold, rotations=rotations, whole=whole)
        )
        self.predictor = AttributePredictor(open_models(model), library_choice(device, precision))

    def analyze(self, photo: str | os.PathLike[str] | Image) -> list[Face]:
        """The faces of one photo, a file or RGB uint8 (H, W, 3), from left to right.

        Raises MissingFileError, UnreadableImageError, UsageError for anything but a path or such an array,
        and NoAnswerError where the model gives no finite numbers for a face.
        """
        if (photo is None or isinstance(photo, np.ndarray)) and (fault := _fault(photo)):
            raise UsageError(f"photo 0: {fault}")
        given = _input(photo, 0)
        pixels = given.load()
        (found,) = self._block()([Input(given.name, lambda: pixels)])
        if found.failure is not None:
            raise NoAnswerError(found.failure.reason)
        return list(found.faces)

    def analyze_many(
        self,
        photos: Iterable[str | os.PathLike[str] | Image | None],
        batch_size: int = 96,
        workers: int = 2,
    ) -> Iterator[Photo]:
        """The faces of each photo, in their order, while memory stays bounded; `photos` may never end.

        What cannot be read gives a Photo with its `failure`, and the next one follows: a missing or damaged
        file, a folder, an array that is not RGB uint8 (H, W, 3), None as OpenCV gives it for a file that it
        cannot read, and a face for which the model gives no finite numbers. `workers` threads decode and
        detect. Raises UsageError for one photo in place of many, and, at its place in the order, for what is
        neither a path nor an array.
        """
        if isinstance(photos, str | bytes | os.PathLike) or (
            isinstance(photos, np.ndarray) and photos.ndim == 3
        ):
            raise UsageError("analyze_many takes many photos, such as [photo]; analyze takes one")
        if batch_size < 1 or workers < 0:
            raise UsageError("batch_size must be at least 1, and workers at least 0")
        loaded = (_input(photo, position) for position, photo in enumerate(photos))
        return self._block(batch_size, workers)(loaded)

    def _block(self, batch_size: int = 96, workers: int = 1) -> FaceBlock:
        return FaceBlock(self.maker, (self.predictor,), batch_size, workers)


def _input(photo: object, position: int) -> Input:
    if isinstance(photo, str | os.PathLike):
        return Input(os.fsdecode(photo), partial(_read, Path(os.fsdecode(photo))))
    name = f"array {position}" if isinstance(photo, np.ndarray) else f"photo {position}"
    return Input(name, partial(_checked, photo, name))


def _checked(photo: object, name: str) -> Image:
    if photo is not None and not isinstance(photo, np.ndarray):
        raise UsageError(
            f"{name} is of the type {type(photo).__name__}: give a path, or an RGB uint8 array (H, W, 3)"
        )
    if fault := _fault(photo):
        raise UnreadableImageError(f"{name}: {fault}")
    assert photo is not None
    return photo


def _fault(array: NDArray[Any] | None) -> str:
    """What keeps an array from being a photo, "" if nothing does."""
    if array is None:
        return "None in place of a photo; OpenCV gives it for a file that it cannot read"
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        return f"expected RGB uint8 (H, W, 3), found {array.dtype} {array.shape}"
    return ""


def _read(path: Path) -> Image:
    try:
        return decode(read_picture_file(path), str(path))
    except IsADirectoryError:
        raise UnreadableImageError(f"{path}: is a folder; give a picture file") from None
    except FileNotFoundError:
        raise MissingFileError(path, "photo") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableImageError(f"{path}: {reason}") from error
