"""Bytes become pixels here, and nowhere else."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import simplejpeg

from face_analysis.errors import UnreadableImageError
from face_analysis.images.headers import claimed_size
from face_analysis.images.opencv_log import quiet
from face_analysis.types import Image

MAX_PIXELS = 2**27
"""134 million; the claimed size of a larger image is refused before anything is decoded."""


def decode(data: bytes, name: str) -> Image:
    """Decode an image to RGB uint8, shape (H, W, 3), upright.

    EXIF orientation is applied. Grey and palette images come out as RGB, 16-bit values are divided by 256,
    CMYK JPEG is converted, and alpha is dropped: the stored colours stay as they are, without a background
    (in TIFF, whose reader multiplies alpha in, they come out over black).
    `name` is what the error calls the image. Raises UnreadableImageError for bytes that are no image, for a
    truncated or damaged one, and for one of more than MAX_PIXELS pixels.
    """
    size = claimed_size(data)
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise UnreadableImageError(
            f"{name}: {size[1]}x{size[0]} pixels are more than the limit of {MAX_PIXELS}; make it smaller"
        )
    if size is not None and data.startswith(b"\xff\xd8"):
        return _decode_jpeg(data, name)
    if data.startswith(b"\x89PNG") and b"IEND" not in data:
        raise UnreadableImageError(f"{name}: the PNG image is cut short; replace the file")
    return _decode_other(data, name)


def fit(image: Image, size: int = 112) -> Image:
    """Resize RGB uint8 (H, W, 3) to (size, size, 3); returned as it is when it has that size.

    Averages areas when an image shrinks to half or less. Above that bilinear already weighs every pixel, and
    measured against Pillow's filters it is as close to them at a fraction of the time.
    """
    height, width = image.shape[:2]
    if height == size and width == size:
        return image
    shrinks = min(height, width) >= 2 * size
    return cast(
        Image, cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    )


def _decode_jpeg(data: bytes, name: str) -> Image:
    oriented = b"Exif\0\0" in data
    try:
        # Strict decoding is what finds a truncated JPEG. One with EXIF is only checked here, at an eighth of
        # its size, since OpenCV applies the orientation.
        image = simplejpeg.decode_jpeg(data, "RGB", strict=True, min_factor=8 if oriented else 1)
    except ValueError as error:
        raise UnreadableImageError(f"{name}: broken JPEG ({error}); replace the file") from error
    return _decode_other(data, name) if oriented else cast(Image, image)


def _decode_other(data: bytes, name: str) -> Image:
    try:
        with quiet():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise UnreadableImageError(
            f"{name}: not an image ({error.err or error}); replace the file"
        ) from error
    if image is None:
        raise UnreadableImageError(f"{name}: not an image, or a broken one; replace the file")
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise UnreadableImageError(f"{name}: more than the limit of {MAX_PIXELS} pixels; make it smaller")
    return cast(Image, image)
