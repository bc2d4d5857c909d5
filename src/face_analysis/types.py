"""The result types that every part of the package shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""RGB pixels, shape (H, W, 3), 0 to 255."""


@dataclass(frozen=True)
class ImageFailure:
    """An image that could not be used: its name as the source gives it, and why."""

    path: str
    reason: str


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
class Prediction:
    """What the models say of one face; a field is None where no model was given for it.

    `race` (5,) and `gender` (2,) are probabilities that sum to 1, in the order of the label codes.
    `age` is the expected age in years, the sum of the probabilities "older than k"; `age_count` is the
    number of those probabilities over 0.5, the decoding of the original system.
    """

    path: str
    race: NDArray[np.float32] | None = None
    gender: NDArray[np.float32] | None = None
    age: float | None = None
    age_count: int | None = None
