"""Copies of photos with the faces, and what was said of them, drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import cast

import cv2

from face_analysis.files import whole_file
from face_analysis.reports.describe import estimates
from face_analysis.types import Face, Image

FONT = cv2.FONT_HERSHEY_SIMPLEX
FRAME, INK, PAPER = (255, 196, 0), (255, 255, 255), (32, 32, 32)
JPEG_QUALITY = 92


def annotate(image: Image, faces: Sequence[Face]) -> Image:
    """A copy of RGB uint8 (H, W, 3) with each face's box, landmarks and estimates."""
    picture = image.copy()
    unit = max(1.0, max(image.shape[:2]) / 700)
    for face in faces:
        if face.detection is not None:
            _frame(picture, face, unit)
    for face in faces:  # words last, so that no frame runs through them
        _words(picture, face, unit)
    return picture


def annotated_path(folder: Path, name: str) -> Path:
    """Where the copy of the photo of this name goes: its own path under `folder`, as JPEG."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    return folder.joinpath(*parts).with_suffix(".jpg")


def write_annotated(image: Image, faces: Sequence[Face], path: Path) -> None:
    """Write the annotated photo as JPEG. Raises WriteError."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(annotate(image, faces), cv2.COLOR_RGB2BGR), settings)[1]
    with whole_file(path) as partial:
        partial.write_bytes(encoded.tobytes())


def _frame(picture: Image, face: Face, unit: float) -> None:
    assert face.detection is not None
    x, y, width, height = (round(value) for value in face.detection.box)
    cv2.rectangle(picture, (x, y), (x + width, y + height), FRAME, round(2 * unit), cv2.LINE_AA)
    for point in face.detection.landmarks:
        centre = (round(float(point[0])), round(float(point[1])))
        cv2.circle(picture, centre, round(1.5 * unit), FRAME, cv2.FILLED, cv2.LINE_AA)


def _words(picture: Image, face: Face, unit: float) -> None:
    """Lines on a dark ground under the box, above it where there is no room, always within the picture."""
    lines, scale, thick = estimates(face), 0.45 * unit, max(1, round(unit))
    sizes = [cv2.getTextSize(line, FONT, scale, thick)[0] for line in lines]
    step, pad = round(1.6 * max((size[1] for size in sizes), default=0)), round(4 * unit)
    across, down = max((size[0] for size in sizes), default=0) + 2 * pad, step * len(lines) + pad
    left, top, bottom = _box(picture, face)
    y = bottom if bottom + down <= picture.shape[0] else max(0, top - down)
    x = min(max(0, left), max(0, picture.shape[1] - across))
    ground = picture[y : y + down, x : x + across]
    ground[:] = cast(Image, cv2.addWeighted(ground, 0.3, ground * 0 + PAPER[0], 0.7, 0))
    for number, line in enumerate(lines, 1):
        place = (x + pad, y + number * step)
        cv2.putText(picture, line, place, FONT, scale, INK, thick, cv2.LINE_AA)


def _box(picture: Image, face: Face) -> tuple[int, int, int]:
    """Left, top and bottom of the face; of the whole picture where none was found."""
    if face.detection is None:
        return 0, 0, picture.shape[0]
    x, y, _, height = face.detection.box
    return round(x), round(y), round(y + height)
