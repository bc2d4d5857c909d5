"""Generated pictures with labels, for the demo and the tests: patterns, no faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, GENDERS, MAX_AGE, RACES
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.lists.writers import write_image_list
from face_analysis.errors import WriteError
from face_analysis.files import whole_file
from face_analysis.types import Image

SIZE = 112
LIST_NAME, PEOPLE_NAME = "patterns.txt", "people.csv"


def write_patterns(folder: Path, count: int, seed: int) -> Path:
    """Write `count` 112x112 JPEGs under `folder` and their list `path race gender age`; returns the list.

    Race is carried by the stripes' direction, gender by their width and age by brightness, under noise and
    random colours, and so that mirroring changes no label. The same seed gives the same files. Raises
    WriteError.
    """
    generator = np.random.default_rng(seed)
    lines: list[str] = []
    try:
        (folder / "patterns").mkdir(parents=True, exist_ok=True)
        for number in range(count):
            race = int(generator.integers(len(RACES)))
            gender = int(generator.integers(len(GENDERS)))
            age = int(generator.integers(MAX_AGE + 1))
            name = f"patterns/{number:06d}.jpg"
            image = pattern(race, gender, age, generator)
            (folder / name).write_bytes(simplejpeg.encode_jpeg(image, quality=90))
            lines.append(f"{name} {race} {gender} {age}\n")
        (folder / LIST_NAME).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise WriteError(folder, error) from error
    return folder / LIST_NAME


def write_people(folder: Path, people: int, each: int, seed: int) -> Path:
    """Write `each` JPEGs of each of so many patterns, and their list with the pattern as subject; returns it.

    The pictures of a pattern are shifted by a few pixels, under other light and noise. The same seed gives
    the same files. Raises WriteError.
    """
    generator = np.random.default_rng(seed)
    images: list[str] = []
    labels: list[tuple[int, int, int]] = []
    for number in range(people):
        race, gender, age = (
            int(generator.integers(size)) for size in (len(RACES), len(GENDERS), MAX_AGE + 1)
        )
        shown = pattern(race, gender, age, generator)
        for place in range(each):
            name = f"{number:03d}/{place}.jpg"
            shift = generator.integers(-4, 5, 2)
            light = generator.normal(0, 10) + generator.normal(0, 25, shown.shape)
            picture = np.clip(np.roll(shown, tuple(shift), (0, 1)) + light, 0, 255).astype(np.uint8)
            with whole_file(folder / name) as partial:
                partial.write_bytes(simplejpeg.encode_jpeg(picture, quality=90))
            images.append(name)
            labels.append((race, gender, age))
    columns = dict(zip(ATTRIBUTES, np.array(labels).T, strict=True))
    listed = ImageList(folder / PEOPLE_NAME, images, columns, {"subject": [name[:3] for name in images]})
    write_image_list(listed.path, listed)
    return listed.path


def pattern(race: int, gender: int, age: int, generator: np.random.Generator) -> Image:
    """One picture, RGB uint8 (112, 112, 3), of the given labels."""
    # Directions within a quarter turn stay apart when the picture is mirrored.
    direction = np.deg2rad(90 * race / (len(RACES) - 1) + generator.normal(0, 3))
    cycles = generator.uniform(3, 5) if gender == 0 else generator.uniform(7, 10)
    stripes = _wave(direction, cycles, generator)
    cloud = _wave(generator.uniform(0, np.pi), generator.uniform(0.5, 1.5), generator)
    brightness = 60 + 130 * age / MAX_AGE + generator.normal(0, 3)
    tint = generator.uniform(0.6, 1.0, 3)
    tint /= tint.mean()
    light = 30 * stripes + 12 * cloud
    noise = generator.normal(0, 12, (SIZE, SIZE, 3))
    pixels = brightness + light[:, :, None] * tint + noise
    return np.ascontiguousarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _wave(direction: float, cycles: float, generator: np.random.Generator) -> NDArray[np.float64]:
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    along = x * np.cos(direction) + y * np.sin(direction)
    wave: NDArray[np.float64] = np.sin(2 * np.pi * cycles * along + generator.uniform(0, 2 * np.pi))
    return wave
