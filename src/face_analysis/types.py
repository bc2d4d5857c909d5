"""The result types that every part of the package shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import UsageError

Image = NDArray[np.uint8]
"""RGB pixels, shape (H, W, 3), 0 to 255."""
NO_FACE = "no face found"
"""The reason if a readable photo has no result."""
Name = str | Callable[[], str]
"""What a picture is called, or what gives that where it is needed, which is mostly where something fails."""


def called(name: Name) -> str:
    """The name itself."""
    return name if isinstance(name, str) else name()


class Input(NamedTuple):
    """A photo to analyse: its name, and a function that returns its RGB pixels.

    The function may raise UnreadableImageError or MissingFileError, a failure of this photo alone.
    """

    name: str
    load: Callable[[], Image]


class ImageFailure(NamedTuple):
    """An image that could not be used: its name in the source, and the reason.

    The `kind` is "unreadable", "no face", or "no answer": a model gave no finite numbers for the image.
    """

    path: str
    reason: str
    kind: Literal["unreadable", "no face", "no answer"] = "unreadable"


class _Comparable:
    """Makes a dataclass that holds arrays equal, and hash, by the values of its fields."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _values(other) == _values(self)

    def __hash__(self) -> int:
        return hash(_values(self))


def _values(result: Any) -> tuple[Any, ...]:
    values = (getattr(result, field.name) for field in fields(result))
    return tuple(
        (value.shape, value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value
        for value in values
    )


@dataclass(frozen=True, eq=False)
class Detection(_Comparable):
    """The position of a face, in pixels of its photo.

    `box` is x and y of the upper left corner, width and height. It may extend beyond the edges of the photo.
    `landmarks` (5, 2) are x and y of the two eyes, the tip of the nose and the two corners of the mouth. The
    eye and the corner on the left of the picture come first, for an upright face. `score` is that of the
    detector, 0 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        return {
            "box": [float(value) for value in self.box],
            "landmarks": self.landmarks.tolist(),
            "score": float(self.score),
        }


@dataclass(frozen=True, eq=False)
class ClassEstimate(_Comparable):
    """Probabilities (C,) of the classes `labels`, summing to 1, in the order of the label codes."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]

    @property
    def code(self) -> int:
        """The label code of the most probable class, 0 to C - 1."""
        return int(self.probabilities.argmax())

    @property
    def label(self) -> str:
        """The name of the most probable class."""
        return self.labels[self.code]

    @property
    def probability(self) -> float:
        """The probability of the most probable class, 0 to 1."""
        return float(self.probabilities[self.code])

    def to_dict(self) -> dict[str, Any]:
        """The most probable class with its probability, and the probability of each class, for JSON."""
        each = dict(zip(self.labels, self.probabilities.tolist(), strict=True))
        return {"label": self.label, "probability": self.probability, "probabilities": each}


@dataclass(frozen=True)
class AgeEstimate:
    """Age in years, as people would guess it.

    `years` is the expected age: the sum of the probabilities "older than k". `count` is the number of these
    probabilities over 0.5, as the original system decoded age. `low` and `high` are the first and last age of
    the interval. The model's card states its coverage. They are None if the model was never calibrated.
    """

    years: float
    count: int
    low: int | None = None
    high: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON. The interval is left out if there is none."""
        interval = {} if self.low is None else {"low": self.low, "high": self.high}
        return {"years": self.years, "count": self.count, **interval}


@dataclass(frozen=True, eq=False)
class Face(_Comparable):
    """One face of a photo: its position, and the answers of the models. An answer not asked for is None.

    `detection` is None for an aligned chip, and for a photo that is taken as a whole because no face was
    found. `embedding` is float32 (D,) of norm 1. `chip` is the aligned face, RGB uint8 (size, size, 3).
    """

    path: str
    detection: Detection | None = None
    race: ClassEstimate | None = None
    gender: ClassEstimate | None = None
    age: AgeEstimate | None = None
    embedding: NDArray[np.float32] | None = None
    chip: Image | None = None

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """The box as x and y of its upper left and lower right corners, in pixels of the photo.

        Raises UsageError for a face without a detection.
        """
        if self.detection is None:
            raise UsageError(f"{self.path}: this face was not searched in a photo, so it has no box")
        x, y, width, height = self.detection.box
        return x, y, x + width, y + height

    def similarity(self, other: Face) -> float:
        """The cosine of the two embeddings, -1 to 1. Similar faces have a high value.

        Raises UsageError if a face has no embedding, or if the embeddings differ in size.
        """
        for face in (self, other):
            if face.embedding is None:
                raise UsageError(
                    f"{face.path}: the face has no embedding; analyze it by FaceAnalyzer(embeddings=True)"
                )
        assert self.embedding is not None
        assert other.embedding is not None
        if self.embedding.shape != other.embedding.shape:
            raise UsageError(
                f"{self.path} and {other.path}: embeddings of {len(self.embedding)} and "
                f"{len(other.embedding)} numbers; embed both faces by one model"
            )
        cosine = self.embedding.astype(np.float64) @ other.embedding.astype(np.float64)
        return float(np.clip(cosine, -1, 1))

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and text, for JSON, without the chip and answers that are None."""
        found: dict[str, Any] = {"path": self.path}
        if self.detection is not None:
            found |= self.detection.to_dict()
        for name in ("race", "gender", "age"):
            estimate = getattr(self, name)
            if estimate is not None:
                found[name] = estimate.to_dict()
        if self.embedding is not None:
            found["embedding"] = self.embedding.tolist()
        return found


@dataclass(frozen=True, eq=False)
class Photo(_Comparable):
    """The faces of one photo, from left to right, and the `failure` if it or a face could not be used.

    `pixels`, RGB uint8 (H, W, 3), are None unless they were asked for.
    """

    path: str
    faces: tuple[Face, ...] = ()
    failure: ImageFailure | None = None
    pixels: Image | None = None

    def to_dict(self) -> dict[str, Any]:
        """The path, the faces as in `Face.to_dict`, and the reason if it could not be used, for JSON."""
        unused = {} if self.unused is None else {"reason": self.unused.reason}
        return {"path": self.path, "faces": [face.to_dict() for face in self.faces], **unused}

    @property
    def unused(self) -> ImageFailure | None:
        """The failure of the photo or of a face. A photo without a face counts as a failure here."""
        if self.failure is None and not self.faces:
            return ImageFailure(self.path, NO_FACE, "no face")
        return self.failure
