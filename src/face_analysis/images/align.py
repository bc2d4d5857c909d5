"""From a photo and five landmarks to the 112x112 chip that the networks see."""

from __future__ import annotations

from typing import Literal, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from face_analysis.types import Image

CHIP_SIZE = 112
TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)],
    np.float32,
)
"""Where ArcFace (Deng et al. 2019, arXiv 1801.07698) has eyes, nose and mouth in a 112x112 chip, x and y."""


Border = Literal["black", "edge", "mirror"]
"""What a chip shows beyond the photo: nothing, its edge repeated, or the photo mirrored."""
BORDERS: tuple[Border, ...] = get_args(Border)
_MODES = {"black": cv2.BORDER_CONSTANT, "edge": cv2.BORDER_REPLICATE, "mirror": cv2.BORDER_REFLECT_101}


def align_chip(
    image: Image, landmarks: NDArray[np.floating], size: int = CHIP_SIZE, border: Border = "black"
) -> Image:
    """Cut an aligned chip of a face: the photo warped so that the landmarks lie on the template of ArcFace.

    The warp is the least-squares similarity (rotation, scale, shift). A face larger than two chips is first
    shrunk by averaging, so that every pixel of it counts.

    Args:
        image: the photo, RGB uint8 (H, W, 3).
        landmarks: (5, 2), x and y of eyes, nose and corners of the mouth, as in `Detection.landmarks`.
        size: height and width of the chip in pixels.
        border: what the chip shows beyond the photo: "black", its "edge" repeated, or its "mirror" image.

    Returns:
        RGB uint8 (size, size, 3).

    Raises:
        ValueError: for landmarks that all lie in one point.
    """
    matrix = similarity(landmarks, TEMPLATE * (size / CHIP_SIZE))
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:
        image, matrix = _shrunk(image, matrix, size, 2 * scale)
    return cast(
        Image,
        cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=_MODES[border]),
    )


def similarity(points: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]:
    """The (2, 3) matrix of the similarity that maps points (N, 2) nearest to targets (N, 2).

    Umeyama 1991 (eq. 40 to 42) without reflections. In two dimensions rotation and scale are one complex
    number, and the least-squares solution is a quotient. Raises ValueError for points that are all equal.
    """
    points, targets = np.asarray(points, np.float64), np.asarray(targets, np.float64)
    centre, target_centre = points.mean(axis=0), targets.mean(axis=0)
    p = (points - centre) @ (1, 1j)
    t = (targets - target_centre) @ (1, 1j)
    spread = np.vdot(p, p).real
    # Equal points can differ from their own mean by a rounding error, so `spread` alone does not tell.
    if not spread > 0 or (points == points[0]).all():
        raise ValueError("the landmarks all lie in one point")
    turn = np.vdot(p, t) / spread
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, target_centre - linear @ centre])


def _shrunk(
    image: Image, matrix: NDArray[np.float64], size: int, factor: float
) -> tuple[Image, NDArray[np.float64]]:
    """The part of the image that the chip shows, shrunk by `factor`, and the matrix for it."""
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)], np.float64)
    inverse = cv2.invertAffineTransform(matrix)
    seen = corners @ inverse[:, :2].T + inverse[:, 2]
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(seen.min(axis=0)).astype(int) - 2, 0, (width - 1, height - 1))
    x1, y1 = np.clip(np.ceil(seen.max(axis=0)).astype(int) + 2, (x0 + 1, y0 + 1), (width, height))
    part = image[y0:y1, x0:x1]
    new_width, new_height = max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor))
    small = cv2.resize(part, (new_width, new_height), interpolation=cv2.INTER_AREA)
    x_step, y_step = part.shape[1] / new_width, part.shape[0] / new_height
    # Pixel centres: position p of the shrunk part lies at (p + 0.5) * step - 0.5 of the part.
    linear = matrix[:, :2] * (x_step, y_step)
    offset = np.array([x0 + 0.5 * x_step - 0.5, y0 + 0.5 * y_step - 0.5])
    return cast(Image, small), np.column_stack([linear, matrix[:, 2] + matrix[:, :2] @ offset])
