"""The way in from Python: photos in, typed faces out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from face_analysis.errors import MissingFileError, UnreadableImageError, UsageError
from face_analysis.images.boxes import Wanted
from face_analysis.images.chips import FaceCutter, face_cutter
from face_analysis.images.decode import decode
from face_analysis.images.detect import THRESHOLD
from face_analysis.images.limits import read_picture_file
from face_analysis.inference.attributes import AttributePredictor
from face_analysis.inference.networks import open_models
from face_analysis.inference.pipeline import Input, analyse
from face_analysis.types import Face, Image, Photo

BUNDLED = "attributes"
"""The zoo's name of the model that comes with the package."""


class FaceAnalyzer:
    """Finds the faces of photos and estimates race, gender and age of each as annotators would perceive them.

    `model` is a file or a name of the zoo. `faces` are wanted "all", or the "largest" or the one nearest the
    "centre" alone, from `min_size` pixels (longer side of the box). With `aligned` each picture is one
    aligned chip, and nothing is searched. `rotations` searches the photo turned by 90, 180 and 270 degrees
    too. With `whole` a photo in which no face is found is taken as one face.

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
    ) -> None:
        self.cutter = (
            FaceCutter()
            if aligned
            else face_cutter(faces, min_size, threshold, rotations=rotations, whole=whole)
        )
        self.predictor = AttributePredictor(open_models(model))

    def analyze(self, photo: str | Path | Image) -> list[Face]:
        """The faces of one photo, a file or RGB uint8 (H, W, 3), from left to right.

        Raises MissingFileError, UnreadableImageError, and UsageError for an array of another form.
        """
        loaded = _input(photo, 0)
        chips = self.cutter.cut(loaded.load(), loaded.name)
        estimates = self.predictor.predict([chip.pixels for chip in chips])
        return [
            Face(loaded.name, chip.detection, *given) for chip, given in zip(chips, estimates, strict=True)
        ]

    def analyze_many(
        self, photos: Iterable[str | Path | Image], batch_size: int = 96, workers: int = 2
    ) -> Iterator[Photo]:
        """The faces of each photo, in their order, while memory stays bounded; `photos` may never end.

        A file that cannot be read gives a Photo with its `failure`. `workers` threads decode and detect.
        """
        loaded = (_input(photo, position) for position, photo in enumerate(photos))
        return analyse(loaded, self.cutter, self.predictor, batch_size, workers)


def _input(photo: str | Path | Image, position: int) -> Input:
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
            raise UsageError(
                f"photo {position}: expected RGB uint8 (H, W, 3), found {photo.dtype} {photo.shape}"
            )
        return Input(f"array {position}", lambda: photo)
    return Input(str(photo), partial(_read, Path(photo)))


def _read(path: Path) -> Image:
    try:
        return decode(read_picture_file(path), str(path))
    except FileNotFoundError:
        raise MissingFileError(path, "photo") from None
    except OSError as error:
        raise UnreadableImageError(f"{path}: {error.strerror}") from error
