"""What the models say of a face: in words for a screen, and drawn into copies of photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from face_analysis.files import whole_file
from face_analysis.types import Detection, Face, Image, Photo

FONT = cv2.FONT_HERSHEY_SIMPLEX
FRAME, INK, PAPER = (255, 196, 0), (255, 255, 255), 32
JPEG_QUALITY = 92
COPY_SUFFIXES = (".jpg", ".jpeg")
"""Suffixes of annotated copies; the copy of a photo with another suffix gets the first one."""


def describe(photo: Photo) -> list[str]:
    """A line for each face of a photo: its name, the place of the face, and the estimates."""
    if not photo.faces:
        return [f"{photo.path}: no face found"]
    return [f"{photo.path}: {_place(face)}{', '.join(estimates(face))}" for face in photo.faces]


def estimates(face: Face) -> list[str]:
    """Such as `female 97 %`, `asian 88 %`, `34 years (26 to 43)`."""
    words = [f"{given.label} {given.probability:.0%}" for given in (face.gender, face.race) if given]
    if face.age is not None:
        interval = "" if face.age.low is None else f" ({face.age.low} to {face.age.high})"
        words.append(f"{face.age.years:.0f} years{interval}")
    return words


def _place(face: Face) -> str:
    if face.detection is None:
        return ""
    x, y, width, height = (round(value) for value in face.detection.box)
    return f"face at {x},{y} of {width}x{height}: "


class Area(NamedTuple):
    """A rectangle of pixels."""

    x: int
    y: int
    width: int
    height: int

    def meets(self, other: Area) -> bool:
        """Whether the two share a pixel."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def annotate(image: Image, faces: Sequence[Face]) -> Image:
    """A copy of RGB uint8 (H, W, 3) with each face's box, landmarks and estimates."""
    picture = image.copy()
    unit = max(1.0, max(image.shape[:2]) / 700)
    for face in faces:
        if face.detection is not None:
            _frame(picture, face.detection, unit)
    taken: list[Area] = []
    for face in faces:  # words last, so that no frame runs through them
        taken.append(_words(picture, face, unit, taken))
    return picture


def write_annotated(image: Image, faces: Sequence[Face], path: Path) -> None:
    """Write the annotated photo as JPEG. Raises WriteError."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(annotate(image, faces), cv2.COLOR_RGB2BGR), settings)[1]
    with whole_file(path) as partial:
        partial.write_bytes(encoded.tobytes())


def _frame(picture: Image, found: Detection, unit: float) -> None:
    x, y, width, height = (round(value) for value in found.box)
    cv2.rectangle(picture, (x, y), (x + width, y + height), FRAME, round(2 * unit), cv2.LINE_AA)
    for point in found.landmarks:
        centre = (round(float(point[0])), round(float(point[1])))
        cv2.circle(picture, centre, round(1.5 * unit), FRAME, cv2.FILLED, cv2.LINE_AA)


def _words(picture: Image, face: Face, unit: float, taken: list[Area]) -> Area:
    """Write the estimates on a dark ground, by the face and not over other words where there is room."""
    box = _box(picture, face)
    lines, thick = estimates(face), max(1, round(unit))
    widest = max((cv2.getTextSize(line, FONT, 1, 1)[0][0] for line in lines), default=1)
    scale = min(max(1.3 * box.width / widest, 0.33 * unit), 0.5 * unit)
    step, pad = round(34 * scale), round(4 * unit)
    width, height = round(widest * scale) + 2 * pad, step * len(lines) + pad
    places = [
        _within(picture, Area(x, y, width, height))
        for y in (box.y + box.height, box.y - height)
        for x in (box.x, box.x + box.width - width)
    ]
    area = next((place for place in places if not any(map(place.meets, taken))), places[0])
    ground = picture[area.y : area.y + area.height, area.x : area.x + area.width]
    ground[:] = cv2.addWeighted(ground, 0.3, np.full_like(ground, PAPER), 0.7, 0)
    for number, line in enumerate(lines, 1):
        place = (area.x + pad, area.y + number * step)
        cv2.putText(picture, line, place, FONT, scale, INK, thick, cv2.LINE_AA)
    return area


def _within(picture: Image, area: Area) -> Area:
    x = min(max(0, area.x), max(0, picture.shape[1] - area.width))
    y = min(max(0, area.y), max(0, picture.shape[0] - area.height))
    return area._replace(x=x, y=y)


def _box(picture: Image, face: Face) -> Area:
    """Where the face is; the whole picture where none was found."""
    if face.detection is None:
        return Area(0, 0, picture.shape[1], picture.shape[0])
    return Area(*(round(value) for value in face.detection.box))
