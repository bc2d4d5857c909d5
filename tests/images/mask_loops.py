"""Blur outside the face as a straight-line loop over SciPy's filter, and pictures to try it on."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter

FACE = {1, 2, 3, 4, 5, 6, 10, 11, 12, 13}


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Noise beside flat and rising parts, so that an error of a blur shows."""
    rng = np.random.default_rng(height * 1000 + width)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    image[height // 2 :] = np.linspace(0, 255, width).astype(np.uint8)[:, None]
    image[-height // 5 :] = 255
    return image


def codes_of(height: int, width: int) -> NDArray[np.uint8]:
    """An oval face with ears, eyes and mouth, hair above, neck and cloth below, and stray other codes."""
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None] - 0.5
    codes = np.full((height, width), 17, np.uint8)
    codes[y > 0] = 16
    codes[np.abs(x) < 0.15] = 14
    codes[(x / 0.33) ** 2 + (y / 0.4) ** 2 < 1] = 7
    codes[(x / 0.28) ** 2 + (y / 0.4) ** 2 < 1] = 1
    for code, (down, right) in enumerate([(-0.2, -0.1), (-0.2, 0.1), (-0.1, -0.1), (-0.1, 0.1)], 2):
        codes[(x - right) ** 2 + (y - down) ** 2 < 0.003] = code
    codes[(x / 0.1) ** 2 + ((y - 0.2) / 0.04) ** 2 < 1] = 12
    codes[-3:, :3] = 200
    return codes


def values(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """0 to 10 with one decimal, 10 in the face, pixel by pixel from the words of the format."""
    face = np.array([[255.0 if code in FACE else 0.0 for code in row] for row in codes.tolist()])
    soft = gaussian_filter(face, 5)
    return np.around(soft / (max(soft.max(), 1) / 10), 1)


def loop_by_level(image: NDArray[np.uint8], codes: NDArray[np.uint8], kind: type) -> NDArray[np.float64]:
    value, blurred = values(codes), image.astype(float)
    for one in np.unique(value):
        sigma = round(10 - one, 1) ** 4 / 10**3
        for channel in range(3 if sigma else 0):
            whole = gaussian_filter(image[:, :, channel].astype(kind), sigma)
            blurred[value == one, channel] = whole[value == one]
    return blurred


def loop_by_weight(image: NDArray[np.uint8], codes: NDArray[np.uint8], kind: type) -> NDArray[np.float64]:
    sigma = np.round(10 - values(codes), 1) ** 4 / 10**3
    weight = np.round((sigma - sigma.min()) / (sigma.max() - sigma.min()), 5)
    blurred = image.astype(float)
    for channel in range(3):
        whole = gaussian_filter(image[:, :, channel].astype(kind), 10).astype(float)
        blurred[:, :, channel] = image[:, :, channel] * (1 - weight) + whole * weight
    return blurred


def png(image: Pillow.Image | NDArray[np.integer]) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Pillow.Image) else Pillow.fromarray(image)).save(buffer, "PNG")
    return buffer.getvalue()
