"""Copies of image files as people make them: re-encoded, resized, mirrored, made lighter or darker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Pixels = Any


def jpeg(pixels: Pixels, quality: int) -> bytes:
    encoded: bytes = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return encoded


def re_encoded(pixels: Pixels, rng: np.random.Generator) -> bytes:
    return jpeg(pixels, int(rng.integers(30, 96)))


def resized(pixels: Pixels, rng: np.random.Generator) -> bytes:
    scale = rng.uniform(0.5, 2)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return jpeg(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=way), 90)


def mirrored(pixels: Pixels, rng: np.random.Generator) -> bytes:
    return jpeg(cv2.flip(pixels, 1), int(rng.integers(60, 96)))


def lighter_or_darker(pixels: Pixels, rng: np.random.Generator) -> bytes:
    contrast, brightness = rng.uniform(0.7, 1.3), rng.uniform(-40, 40)
    return jpeg(np.clip(pixels * contrast + brightness, 0, 255).astype(np.uint8), 90)


KINDS: dict[str, Callable[[Pixels, np.random.Generator], bytes] | None] = {
    "same bytes": None,
    "re-encoded, quality 30 to 95": re_encoded,
    "resized, 0.5 to 2 times": resized,
    "mirrored": mirrored,
    "contrast 0.7 to 1.3, brightness +-40": lighter_or_darker,
}


def plant(originals: Sequence[Path], folder: Path, rng: np.random.Generator) -> list[str]:
    """Write a copy of each file, the kinds in turn; the kind of each."""
    kinds = [list(KINDS)[number % len(KINDS)] for number in range(len(originals))]
    for number, (path, kind) in enumerate(zip(originals, kinds, strict=True)):
        change = KINDS[kind]
        data = path.read_bytes() if change is None else change(cv2.imread(str(path)), rng)
        (folder / f"{number:05d}.jpg").write_bytes(data)
    return kinds
