"""Pictures blurred outside the face, by a mask of face-parsing codes, as the original system did it.

A mask has a code for each pixel, as BiSeNet trained on CelebAMask-HQ gives them: 0 background, 1 skin, 2 and
3 brows, 4 and 5 eyes, 6 glasses, 7 and 8 ears, 9 earring, 10 nose, 11 mouth, 12 and 13 lips, 14 neck,
15 necklace, 16 cloth, 17 hair, 18 hat. The face is 1 to 6 and 10 to 13; every other code is outside.
"""

from __future__ import annotations

import io
from functools import cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from face_analysis.errors import UnreadableImageError
from face_analysis.images.limits import check_bytes, check_pixels
from face_analysis.types import Image, Name, called

LARGEST_CODE = 18
FACE_CODES = (*range(1, 7), *range(10, 14))
EDGE_BLUR = 5.0
"""Sigma in pixels by which the edge of the face is softened."""
LARGEST_BLUR = 10
"""Sigma in pixels by which a picture is blurred far from the face."""
LEVELS = 10 * LARGEST_BLUR
"""Blur goes in tenths: level 0 is the face, level LEVELS is far from it."""

Codes = NDArray[np.integer]


def decode_mask(data: bytes, name: Name, shape: tuple[int, ...]) -> Codes:
    """The codes (H, W) of an encoded mask for a picture of that `shape`.

    A PNG of grey values, palette indices, or three equal channels; one of another size and the same aspect
    ratio is resized without mixing codes. Raises UnreadableImageError, in which `name` is what the mask is
    called, for another format (those that lose detail change codes), a broken file, colours, another aspect
    ratio, and values of which none is a code of the face and some are no codes at all.
    """
    try:
        return _resized(_codes(_values(data)), shape)
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError, UnreadableImageError) as error:
        raise UnreadableImageError(f"{called(name)}: {error}; give a PNG of face-parsing codes") from error


def blur_outside(image: Image, codes: Codes) -> Image:
    """The picture, each pixel of it blurred by the sigma of its level: what training sees.

    `image` RGB uint8 (H, W, 3), `codes` (H, W). Sigma rises from 0 in the face to LARGEST_BLUR pixels; where
    the mask has no face it is that everywhere. Fractions are cut off, as the original cut them.
    """
    levels = blur_levels(codes)
    blurred = image.copy()
    for level in np.unique(levels).tolist():
        sigma = (level / 10) ** 4 / LARGEST_BLUR**3
        if len(_kernel(sigma)) > 1:
            there = levels == level
            blurred[there] = _cut(_gaussian(image, sigma, cv2.CV_32F)[there])
    return blurred


def fade_outside(image: Image, codes: Codes) -> Image:
    """The picture mixed with one blurred by LARGEST_BLUR, the more the farther outside: what packing stores.

    As `blur_outside`, with one blur in place of a hundred. The pixels blurred least keep their value, those
    blurred most take that of the blurred picture; a mask that is all face leaves the picture as it is.
    """
    sigmas = (blur_levels(codes) / 10) ** 4 / LARGEST_BLUR**3
    low, high = float(sigmas.min()), float(sigmas.max())
    scaled = (sigmas - low) / (high - low) if high > low else sigmas / LARGEST_BLUR
    weights = np.round(scaled, 5).astype(np.float32)[:, :, None]
    return _cut(image * (1 - weights) + _gaussian(image, LARGEST_BLUR, cv2.CV_32F) * weights)


def blur_levels(codes: Codes) -> NDArray[np.int64]:
    """How far outside the face each pixel is, from 0 to LEVELS, int64 (H, W)."""
    soft = _gaussian(np.isin(codes, FACE_CODES) * 255.0, EDGE_BLUR, cv2.CV_64F)
    if soft.max() > 0:
        soft *= LARGEST_BLUR / soft.max()
    return cast(NDArray[np.int64], LEVELS - np.rint(soft * 10).astype(np.int64))


def _values(data: bytes) -> NDArray[np.integer]:
    check_bytes(len(data))
    with Pillow.open(io.BytesIO(data), formats=("PNG",)) as mask:
        check_pixels(mask.width, mask.height)
        values = np.asarray(mask)
    if values.dtype == bool:
        return values.astype(np.uint8)
    bits, colour_type = data[24:26]  # of the PNG's header
    if colour_type == 0 and bits < 8:  # grey of 2 or 4 bits, which was brought to 0 ... 255
        return values // np.uint8(255 // (2**bits - 1))
    return values


def _codes(values: NDArray[np.integer]) -> Codes:
    if values.ndim == 3:
        colours = values[:, :, :3] if values.shape[2] > 2 else values[:, :, :1]  # behind them is alpha
        if (colours != colours[:, :, :1]).any():
            raise ValueError("the mask is in colours")
        values = colours[:, :, 0]
    largest = int(values.max())
    if largest > LARGEST_CODE and not np.isin(values, FACE_CODES).any():
        raise ValueError(f"no pixel of the mask has a code of the face, and its largest value is {largest}")
    return values


def _resized(codes: Codes, shape: tuple[int, ...]) -> Codes:
    (height, width), (rows, columns) = shape[:2], codes.shape
    if abs(height * columns - width * rows) >= max(height, rows):  # a side may be rounded to a whole pixel
        raise ValueError(f"the mask has {columns}x{rows} pixels, the picture {width}x{height}")
    down = ((np.arange(height) + 0.5) * rows / height).astype(np.intp)
    right = ((np.arange(width) + 0.5) * columns / width).astype(np.intp)
    return cast(Codes, codes[down[:, None], right])


@cache
def _kernel(sigma: float) -> NDArray[np.float64]:
    """Weights of a Gaussian out to four sigma; a single 1 where that is less than half a pixel."""
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2) if reach else np.ones(1)
    return cast(NDArray[np.float64], weights / weights.sum())


def _gaussian(values: NDArray[np.integer | np.floating], sigma: float, depth: int) -> NDArray[np.floating]:
    weights = _kernel(sigma)
    filtered = cv2.sepFilter2D(values, depth, weights, weights, borderType=cv2.BORDER_REFLECT)
    return cast(NDArray[np.floating], filtered)


def _cut(values: NDArray[np.floating]) -> Image:
    # float32 sums may give 254.9999 for 255.
    return (values + 1e-3).astype(np.uint8)
