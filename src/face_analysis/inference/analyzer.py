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
    """Finds and embeds the faces of photos, and estimates race, gender and age as annotators perceive them.

    Args:
        model: the file or zoo name of the model of attributes. None leaves attributes out.
        embeddings: True embeds each face with SFace. A file or zoo name gives another model.
        mirrored: add the embedding of the mirrored chip. This is slightly more accurate and takes twice the
            time.
        detector: the face detector. YuNet is the only one.
        faces: "all" faces of a photo, the "largest" one, or the one nearest the "centre".
        min_size: the smallest face to keep: the longer side of its box, in pixels.
        aligned: each photo is one aligned chip. No face is searched.
        rotations: search the photo also rotated by 90, 180 and 270 degrees.
        whole: take a photo without a detected face as one face.
        threshold: the detector's lowest score for a face, 0 to 1.
        bgr: arrays are BGR or BGRA, as OpenCV reads files.
        allow_urls: download photos that are given by a URL.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" takes the format that is measured fastest; "32-true" gives the same numbers on
            every machine.

    Raises:
        UsageError: if a value is not one of those above.
        UnknownModelError, ModelMismatchError, MissingFileError: if a model cannot be used.

    Examples:
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
        """The faces of one photo, from left to right; an empty list if none is found.

        Args:
            photo: a path, a URL (with `allow_urls`), encoded bytes, a file object, a Pillow image, a uint8
                array (H, W), (H, W, 3) or (H, W, 4), or a uint8 tensor (C, H, W).

        Raises:
            UsageError: if the value cannot be a photo.
            MissingFileError, UnreadableImageError: if the photo cannot be read.
            NoAnswerError: if a model gives no finite numbers for a face.
        """
        given = self.reader.input(photo)
        pixels = given.load()
        (found,) = self._block()([Input(given.name, lambda: pixels)])
        if found.failure is not None:
            raise NoAnswerError(found.failure.reason)
        return list(found.faces)

    def analyze_one(self, photo: PhotoLike) -> Face:
        """The largest face of one photo. Raises the errors of `analyze`, and NoFaceError if none is found."""
        faces = self.analyze(photo)
        if not faces:
            raise NoFaceError(f"{self.reader.input(photo).name}: {NO_FACE}")
        return max(faces, key=_area)

    def analyze_many(
        self, photos: Iterable[PhotoLike | None], batch_size: int = 96, workers: int = 2
    ) -> Iterator[Photo]:
        """The faces of each photo, in the order of the photos, in bounded memory.

        Args:
            photos: any number of photos, as `analyze` takes them. The iterable may be endless.
            batch_size: the number of faces that a model takes at once.
            workers: the threads that decode photos and find faces.

        Yields:
            A Photo with its faces. A photo that cannot be used has a `failure`, and the next photo follows.
            Such photos are a missing or damaged file, a folder, an array of another type or shape, None (as
            OpenCV returns it for a file that it cannot read), and a face for which a model gives no finite
            numbers.

        Raises:
            UsageError: if `photos` is one photo. Also, at its place in the order, if a value cannot be a
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
            photos: a folder of photos, a photo, an LMDB or a `.rec`; or any number of photos, as `analyze`
                takes them.
            subjects: the person that each photo shows. All faces of the photo get this name.
            batch_size: the number of faces that a model takes at once.
            workers: the threads that decode photos and find faces.

        Returns:
            A row for each face, with the path of its photo, its box and its score. If the analyzer has a
            model of attributes, the rows also have `predicted_race`, `predicted_gender` and `predicted_age`
            (a decade). A warning names the photos that could not be used.

        Raises:
            UsageError: if the analyzer has no embeddings, or if the numbers of subjects and photos differ.
            NoFaceError: if no photo shows a face.
            MissingFileError: if the folder does not exist.
            EmptyDataError: if the folder holds no picture.
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
