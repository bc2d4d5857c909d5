"""Which way up the camera was held: EXIF orientation, read and undone."""

from __future__ import annotations

import struct
from typing import cast

import cv2

from face_analysis.images.tiff import ORIENTATION, fields
from face_analysis.types import Image

UPRIGHT = 1


def exif_orientation(exif: bytes) -> int:
    """1 to 8 from an EXIF block, with or without its `Exif` mark; 1 when it has none or is damaged."""
    try:
        field = fields(exif.removeprefix(b"Exif\0\0")).get(ORIENTATION)
    except (ValueError, struct.error):
        return UPRIGHT
    return field.value if field and 1 <= field.value <= 8 else UPRIGHT


def upright(image: Image, orientation: int) -> Image:
    """The image (H, W, 3) turned as its EXIF orientation, 1 to 8, says; may be the same memory."""
    if orientation >= 5:
        image = cast(Image, cv2.transpose(image))
    flip = _FLIPS.get(orientation)
    return image if flip is None else cast(Image, cv2.flip(image, flip, dst=image))


_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""OpenCV's flip code that remains to be done, for 5 to 8 after the transposition."""
