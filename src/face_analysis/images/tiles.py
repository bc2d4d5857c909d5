"""Where a photo is searched for faces, and how large: whole, and in tiles where that is too coarse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from face_analysis.types import Detection, Image

COARSE, FINE = 640, 1600
"""Longest sides, in pixels, that a larger photo is scaled to: large faces are found at the one, small ones
at the other. A tile is no larger than the second."""
SMALLEST, SURE_SIZE = 60, 28
"""Longer side of the smallest face, in pixels, that is found in photos of every size and shape; and from
which size in a view YuNet found all of 300 faces, at random places (of 24 pixels 97 %, of 20 pixels 70 %)."""
WHOLE = 4096
"""Longest side of photos that are not searched in tiles: their smallest face has 23 pixels at FINE."""
TILE_SCALE = SURE_SIZE / SMALLEST
ROOM = 1.5
"""Tiles overlap by this many of the largest faces that only they show, so that one of them shows it whole."""

Pixels = NDArray[Any]


class View(NamedTuple):
    """A part of a photo, scaled: `pixels` lie at (x, y) of the photo scaled by `scale`.

    A face is taken from it whose box is no longer than `largest`, in pixels of the photo, and is not cut by
    an inner edge (left, upper, right, lower): beyond it is more of the photo, and another view shows that.
    """

    pixels: Pixels
    scale: float
    x: int = 0
    y: int = 0
    largest: float = math.inf
    inner_edges: tuple[bool, bool, bool, bool] = (False, False, False, False)

    def shows(self, face: Detection) -> bool:
        """Whether the face, in pixels of the photo, is to be taken from this view."""
        x, y, width, height = face.box
        left, top = self.x / self.scale, self.y / self.scale
        right, bottom = (left + self.pixels.shape[1] / self.scale, top + self.pixels.shape[0] / self.scale)
        beyond = (x < left, y < top, x + width > right, y + height > bottom)
        cut = any(inner and over for inner, over in zip(self.inner_edges, beyond, strict=True))
        return not cut and max(width, height) <= self.largest


def views(image: Image) -> Iterator[View]:
    """What is searched of RGB uint8 (H, W, 3), one after the other."""
    longest, shortest = max(image.shape[:2]), min(image.shape[:2])
    for side in (COARSE,) if longest <= COARSE else (COARSE, FINE):
        scale = min(1.0, side / longest)
        yield View(_scaled(image, scale), scale)
    if longest <= WHOLE or shortest < SMALLEST / 2:
        return
    # Faces of this size and more are found in the photo as a whole.
    found_whole = SURE_SIZE * longest / FINE
    pixels = _scaled(image, TILE_SCALE)
    overlap = math.ceil(ROOM * min(found_whole, shortest) * TILE_SCALE)
    rows, columns = (spans(length, overlap) for length in pixels.shape[:2])
    for (top, bottom), (left, right) in product(rows, columns):
        inner_edges = (left > 0, top > 0, right < pixels.shape[1], bottom < pixels.shape[0])
        part = pixels[top:bottom, left:right]
        yield View(part, TILE_SCALE, left, top, 2 * found_whole, inner_edges)


def spans(length: int, overlap: int) -> list[tuple[int, int]]:
    """Start and end of as few equal parts as cover `length`, each at most FINE, that overlap by `overlap`."""
    count = max(1, math.ceil((length - overlap) / (FINE - overlap)))
    part = math.ceil((length + (count - 1) * overlap) / count)
    return [(round(start), round(start) + part) for start in np.linspace(0, length - part, count)]


def _scaled(image: Image, scale: float) -> Pixels:
    if scale == 1.0:
        return image
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
