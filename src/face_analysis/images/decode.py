"""Bytes become pixels here, and nowhere else."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import simplejpeg

from face_analysis.errors import UnreadableImageError
from face_analysis.images.containers import Encoded
from face_analysis.images.headers import read_header
from face_analysis.images.opencv_log import quiet
from face_analysis.images.orientation import upright
from face_analysis.types import Image

MAX_PIXELS = 2**26
"""67 million; the claimed size of a larger image is refused before anything is decoded. A JPEG of one scan
may have twice as many, since its reader needs no copy beside its output."""
MAX_BYTES = 2 * 10**8
"""Of an encoded image. With MAX_PIXELS this keeps decoding within 1 GB, in every format."""


def decode(data: bytes, name: str) -> Image:
    """Decode a JPEG, PNG, WebP, GIF, BMP, TIFF or PNM image to RGB uint8, shape (H, W, 3), upright.

    EXIF orientation is applied. Grey and palette images come out as RGB, 16-bit values keep their high byte
    (in TIFF they are rounded), CMYK JPEG is converted, and alpha is dropped: the stored colours stay as they
    are, without a background (in TIFF, whose reader multiplies alpha in, they come out over black). Of an
    animation the first picture counts. `name` is what the error calls the image.
    Raises UnreadableImageError for bytes that are no image, for another format, for a truncated or damaged
    image, and for one of more than MAX_BYTES or MAX_PIXELS.
    """
    return upright(*_decoded(data, name))


def check(data: bytes, name: str) -> None:
    """Raise what `decode` would raise; a JPEG is read through, but its pixels are not worked out."""
    _decoded(data, name, jpeg_side=1)


def _decoded(data: bytes, name: str, jpeg_side: int = 0) -> tuple[Image, int]:
    """The pixels as stored, and their orientation; a JPEG reduced as far as `jpeg_side` allows, unless 0."""
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"{len(data)} bytes are more than the limit of {MAX_BYTES}; make it smaller")
        form, encoded = read_header(data)
        limit = 2 * MAX_PIXELS if encoded.streams else MAX_PIXELS
        if encoded.height * encoded.width > limit:
            size = f"{encoded.width}x{encoded.height}"
            raise ValueError(f"{size} pixels are more than the limit of {limit}; make it smaller")
        image = _jpeg_pixels(data, jpeg_side) if form == "JPEG" else _pixels(form, encoded)
    except ValueError as error:
        raise UnreadableImageError(f"{name}: {error}") from error
    return image, encoded.orientation


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


def _jpeg_pixels(data: bytes, side: int) -> Image:
    try:  # strict finds a truncated one
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=side, min_width=side, strict=True)
        return cast(Image, pixels)
    except ValueError as error:
        raise ValueError(f"broken JPEG ({error}); replace the file") from error


def _pixels(form: str, encoded: Encoded) -> Image:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        with quiet():
            image = cv2.imdecode(np.frombuffer(encoded.body, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"broken {form} image ({error.err or error}); replace the file") from error
    if image is None or image.shape != (encoded.height, encoded.width, 3):
        raise ValueError(f"broken {form} image; replace the file")
    return cast(Image, image)
