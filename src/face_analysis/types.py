"""The result types that every part of the package shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""RGB pixels, shape (H, W, 3), 0 to 255."""


class ImageFailure(NamedTuple):
    """An image that could not be used: its name as the source gives it, and why.

    `of_model` tells that the image is fine, but a model gave no finite numbers for a face in it.
    """

    path: str
    reason: str
    of_model: bool = False


@dataclass(frozen=True)
class Detection:
    """Where a face is, in pixels of its photo.

    `box` is x, y of the upper left corner, width, height, and may reach over the photo's edges. `landmarks`
    (5, 2) are x, y of the eyes, the nose's tip and the corners of the mouth; of eyes and corners the one
    further left in the photo of an upright face comes first. `score` is the detector's, 0 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float


@dataclass(frozen=True)
class ClassEstimate:
    """Probabilities (C,) of the classes `labels`, summing to 1, in the order of the label codes."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]

    @property
    def code(self) -> int:
        """The likeliest class as its label code, 0 ... C - 1."""
        return int(self.probabilities.argmax())

    @property
    def label(self) -> str:
        """The likeliest class by name."""
        return self.labels[self.code]

    @property
    def probability(self) -> float:
        """Of the likeliest class, 0 to 1."""
        return float(self.probabilities[self.code])


@dataclass(frozen=True)
class AgeEstimate:
    """Age in years as people would guess it.

    `years` is the expected age, the sum of the probabilities "older than k"; `count` is how many of them are
    over 0.5, the decoding of the original system. `low` and `high` are the first and last age of the
    interval whose coverage the model's card states; they are None where the model was never calibrated.
    """

    years: float
    count: int
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Face:
    """One face of a photo: where it is, and what the models say of it; None for what no model was given for.

    `detection` is None for a chip that came aligned, and for a photo taken as a whole because no face was
    found in it.
    """

    path: str
    detection: Detection | None = None
    race: ClassEstimate | None = None
    gender: ClassEstimate | None = None
    age: AgeEstimate | None = None


@dataclass(frozen=True)
class Photo:
    """The faces of one photo, from left to right, and why it, or a face of it, could not be used."""

    path: str
    faces: tuple[Face, ...] = ()
    failure: ImageFailure | None = None
