"""The photos of people that packages carry, in the public domain, and photos made of them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow

WIDTH, HEIGHT = 640, 480


def inside(package: str, *path: str) -> Path:
    """A file that a package carries."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*path)


HOPPER = ("matplotlib", "mpl-data", "sample_data", "grace_hopper.jpg")


def hopper() -> Pillow.Image:
    """Grace Hopper, 512x600, RGB."""
    return Pillow.open(inside(*HOPPER)).convert("RGB")


def astronaut() -> Pillow.Image:
    """Eileen Collins, 512x512, her face about 110 pixels wide and nearly upright, RGB."""
    return Pillow.open(inside("skimage", "data", "astronaut.png")).convert("RGB")


def portrait_photos(count: int) -> list[Path]:
    """JPEG photos in a temporary folder, the face of each at another place, size and brightness."""
    portrait = cv2.imread(str(inside(*HOPPER)))
    rng = np.random.default_rng(0)
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for path in paths:
        cv2.imwrite(str(path), _scene(portrait, rng), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return paths


def _scene(portrait: Any, rng: np.random.Generator) -> Any:
    scene = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (WIDTH, HEIGHT))
    scale = rng.uniform(0.4, 0.75)
    small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = cv2.convertScaleAbs(small, alpha=rng.uniform(0.7, 1.15))
    top = rng.integers(0, HEIGHT - small.shape[0])
    left = rng.integers(0, WIDTH - small.shape[1])
    scene[top : top + small.shape[0], left : left + small.shape[1]] = small
    return scene
