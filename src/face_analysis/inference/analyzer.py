"""Photos in, typed faces out: the one class that describes and embeds the faces of photos from Python."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from face_analysis.datasets.attributes import GROUP_NAMES, MAX_AGE, group_index
from face_analysis.datasets.sources import open_source, place_of
from face_analysis.errors import NoAnswerError, NoFaceError, UsageError
from face_analysis.files import first_reasons
from face_analysis.images.boxes import Wanted
from face_analysis.images.chips import ChipMaker
from face_analysis.images.detect import THRESHOLD
from face_analysis.inference.attributes import AttributePredictor, open_models
from face_analysis.inference.embedder import EmbeddingModel, WithMirror, open_embedder
from face_analysis.inference.form import library_choice
from face_analysis.inference.onnx_form import ModelInput
from face_analysis.inference.photos import PhotoLike, PhotoReader
from face_analysis.inference.pipeline import ChipModel, FaceBlock, inputs
from face_analysis.machine import Precision
from face_analysis.matching.features.feature_set import BOX, SCORE, FeatureSet
from face_analysis.types import NO_FACE, Face, Input, Photo

log = logging.getLogger(__name__)
BUNDLED = "attributes"
"""The zoo's name of the model that comes with the package."""
SFACE = "sface"
"""The zoo's name of the model of embeddings that is taken where none is named."""
DetectorName = Literal["yunet"]


class FaceAnalyzer:
    """Finds the faces of photos, estimates race, gender and age as annotators perceive them, and embeds.

    Args:
        model: file or zoo name of the model of attributes; None leaves them out.
        embeddings: True embeds each face by SFace; a file or zoo name embeds it by this model instead.
        mirrored: add the embedding of the mirrored chip: a little more accurate, in twice the time.
        detector: finds the faces; YuNet is the one there is.
        faces: "all", or of each photo the "largest" or the one nearest the "centre" alone.
        min_size: leaves out faces with a smaller longer side of the box, in pixels.
        aligned: each photo is one aligned chip, and nothing is searched.
        rotations: searches the photo turned by 90, 180 and 270 degrees too.
        whole: takes a photo in which no face is found as one face.
        threshold: the score, 0 to 1, above which the detector's finding is taken for a face.
        bgr: arrays are BGR or BGRA, as OpenCV reads files.
        allow_urls: lets photos be fetched from the network where they are named by a URL.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" takes what is measured fastest here; "32-true" gives the same numbers everywhere.

    Raises:
        UsageError: a value that is not one of those above.
        UnknownModelError, ModelMismatchError, MissingFileError: a model that cannot be used.

    >>> from face_analysis import FaceAnalyzer
    >>> [face] = FaceAnalyzer().analyze(portrait)
    >>> face.gender.label
    'female'
    """

    def __init__(
        self,
        model: str | Path | None = BUNDLED,
        *,
        embeddings: bool | str | Path = False,
        mirrored: bool = False,
        detector: DetectorName = "yunet",
        faces: Wanted = "all",
        min_size: float = 0,
        aligned: bool = False,
        rotations: bool = False,
        whole: bool = False,
        threshold: float = THRESHOLD,
        bgr: bool = False,
        allow_urls: bool = False,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> None:
        _check_word("detector", detector, get_args(DetectorName))
        _check_word("faces", faces, get_args(Wanted))
        _check_word("precision", precision, get_args(Precision))
        if model is None and not embeddings:
            raise UsageError(
                "model=None and embeddings=False: nothing is asked of the faces; give one of them"
            )
        self.reader = PhotoReader(bgr, allow_urls)
        self.mirrored = mirrored
        self.predictor: AttributePredictor | None = None
        self.embedder_name = SFACE if embeddings is True else str(embeddings or "")
        models: list[ChipModel] = []
        if model is not None:
            self.predictor = AttributePredictor(open_models(model), library_choice(device, precision))
            models.append(self.predictor)
        if self.embedder_name:
            choice = library_choice(device, precision)
            embedder = open_embedder(self.embedder_name, ModelInput(), choice=choice)
            models.append(EmbeddingModel(WithMirror(embedder) if mirrored else embedder))
        self.models = tuple(models)
        self.maker = (
            ChipMaker()
            if aligned
            else ChipMaker.with_detector(faces, min_size, threshold, rotations=rotations, whole=whole)
        )

    def analyze(self, photo: PhotoLike) -> list[Face]:
        """The faces of one photo, from left to right; an empty list where none is found.

        Args:
            photo: a path, a URL (with `allow_urls`), encoded bytes, a file object, a Pillow image, a uint8
                array (H, W), (H, W, 3) or (H, W, 4), or a uint8 tensor (C, H, W).

        Raises:
            UsageError: for what cannot be a photo.
            MissingFileError, UnreadableImageError: for a photo that cannot be read.
            NoAnswerError: where a model gives no finite numbers for a face.
        """
        given = self.reader.input(photo)
        pixels = given.load()
        (found,) = self._block()([Input(given.name, lambda: pixels)])
        if found.failure is not None:
            raise NoAnswerError(found.failure.reason)
        return list(found.faces)

    def analyze_one(self, photo: PhotoLike) -> Face:
        """The largest face of one photo. Raises as `analyze`, and NoFaceError where none is found."""
        faces = self.analyze(photo)
        if not faces:
            raise NoFaceError(f"{self.reader.input(photo).name}: {NO_FACE}")
        return max(faces, key=_area)

    def analyze_many(
        self, photos: Iterable[PhotoLike | None], batch_size: int = 96, workers: int = 2
    ) -> Iterator[Photo]:
        """The faces of each photo, in the order of the photos, while memory stays bounded.

        Args:
            photos: any number of what `analyze` takes; it may never end.
            batch_size: faces that go through a model at once.
            workers: threads that decode photos and find faces.

        Yields:
            A Photo with its faces. What cannot be read gives a Photo with its `failure`, and the next one
            follows: a missing or damaged file, a folder, an array of another type or shape, None as OpenCV
            gives it for a file that it cannot read, and a face for which a model gives no finite numbers.

        Raises:
            UsageError: for one photo in place of many, and, at its place in the order, for what cannot be a
                photo.
        """
        if isinstance(photos, str | bytes | os.PathLike) or (
            isinstance(photos, np.ndarray) and photos.ndim in (2, 3)
        ):
            raise UsageError("analyze_many takes many photos, such as [photo]; analyze takes one")
        if batch_size < 1 or workers < 0:
            raise UsageError("batch_size must be at least 1, and workers at least 0")
        loaded = (self.reader.input(photo, position) for position, photo in enumerate(photos))
        return self._block(batch_size, workers)(loaded)

    def features(
        self,
        photos: str | os.PathLike[str] | Iterable[PhotoLike | None],
        subjects: Sequence[object] | None = None,
        batch_size: int = 96,
        workers: int = 2,
    ) -> FeatureSet:
        """The embeddings of all faces of many photos, as a feature set in memory.

        Args:
            photos: a folder of photos, a photo, an LMDB or a `.rec`; or any number of what `analyze` takes.
            subjects: the person that each photo shows; its faces get this name.
            batch_size: faces that go through a model at once.
            workers: threads that decode photos and find faces.

        Returns:
            A row for each face, with the path of its photo, its box and score, and, where the analyzer has a
            model of attributes, columns `predicted_race`, `predicted_gender` and `predicted_age` (a decade).
            Photos that could not be used are named in a warning.

        Raises:
            UsageError: for an analyzer without embeddings, and for more or fewer subjects than photos.
            NoFaceError: where no photo shows a face.
            MissingFileError, EmptyDataError: for a folder that is not there, or holds no picture.
        """
        if not self.embedder_name:
            raise UsageError("the analyzer gives no embeddings: make it with FaceAnalyzer(embeddings=True)")
        place: str | None = None
        if isinstance(photos, str | os.PathLike):
            source = open_source(Path(photos), None)
            place, loaded = str(place_of(source).resolve()), inputs(source)
        else:
            loaded = (self.reader.input(photo, position) for position, photo in enumerate(photos))
        found = list(self._block(batch_size, workers)(loaded))
        if subjects is not None and len(subjects) != len(found):
            raise UsageError(f"{len(subjects)} subjects for {len(found)} photos: give one for each photo")
        unused = [photo.unused for photo in found if photo.unused is not None]
        if unused:
            reasons = (f"{one.path}: {one.reason.removeprefix(f'{one.path}: ')}" for one in unused)
            text = "%d of %d photos could not be used:%s"
            log.warning(text, len(unused), len(found), first_reasons(reasons))
        faces = [face for photo in found for face in photo.faces]
        if not faces:
            raise NoFaceError(f"no face was found in {len(found)} photos")
        people = None
        if subjects is not None:
            people = [name for name, photo in zip(subjects, found, strict=True) for _ in photo.faces]
        rows = [_columns(face) for face in faces]
        names = dict.fromkeys(name for row in rows for name in row)
        embeddings = np.stack([face.embedding for face in faces if face.embedding is not None])
        features = FeatureSet.from_arrays(
            embeddings,
            [face.path for face in faces],
            people,
            **{name: [row.get(name) for row in rows] for name in names},
        )
        return replace(features, source=place)

    def _block(self, batch_size: int = 96, workers: int = 1) -> FaceBlock:
        return FaceBlock(self.maker, self.models, batch_size, workers)


def _columns(face: Face) -> dict[str, object]:
    """What a feature set says of a face beside its path and person."""
    found: dict[str, object] = {}
    if face.detection is not None:
        box = (round(value, 2) for value in face.detection.box)
        found |= dict(zip(BOX, box, strict=True)) | {SCORE: round(face.detection.score, 6)}
    for name in ("race", "gender"):
        if (estimate := getattr(face, name)) is not None:
            found[f"predicted_{name}"] = estimate.label
    if face.age is not None:
        decade = group_index("age", np.array([min(round(face.age.years), MAX_AGE)]))[0]
        found["predicted_age"] = GROUP_NAMES["age"][decade]
    return found


def _area(face: Face) -> float:
    return 0.0 if face.detection is None else face.detection.box[2] * face.detection.box[3]


def _check_word(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        raise UsageError(f"{name}={value!r}: must be one of {', '.join(map(repr, words))}")
