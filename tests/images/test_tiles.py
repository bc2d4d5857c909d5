from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from face_analysis.images.boxes import overlap
from face_analysis.images.detect import YuNet
from face_analysis.images.tiles import FINE, spans
from face_analysis.types import Detection, Image

FACE = (178.0, 62.6, 90.4, 113.9)
"""Box of the astronaut's face."""
CROP = (slice(20, 230), slice(120, 330))


@pytest.mark.parametrize(
    "shape",
    [
        (700, 9000),
        (30000, 130),
        pytest.param((2000, 12000), marks=pytest.mark.slow),
        pytest.param((1000, 20000), marks=pytest.mark.slow),
        pytest.param((20000, 1000), marks=pytest.mark.slow),
        pytest.param((9000, 9000), marks=pytest.mark.slow),
    ],
)
def test_faces_of_60_pixels_and_more_are_found_once_in_pictures_of_every_shape(
    yunet: YuNet, astronaut: Image, shape: tuple[int, int]
) -> None:
    generator = np.random.default_rng(sum(shape))
    picture = np.asarray(cv2.resize(generator.integers(0, 255, (12, 16, 3), np.uint8), shape[::-1]))
    placed: list[Detection] = []
    for size in (60, 60, 60, 75, 110, 180, 300):
        small = cv2.resize(astronaut[CROP], None, fx=size / FACE[3], fy=size / FACE[3])
        scale = size / FACE[3]
        height, width = small.shape[:2]
        if height > shape[0] or width > shape[1]:
            continue
        while True:
            x, y = (int(generator.integers(0, room + 1)) for room in (shape[1] - width, shape[0] - height))
            place = Detection((x, y, width, height), np.zeros((5, 2), np.float32), 1)
            if all(overlap(place, other) == 0 for other in placed):
                break
        placed.append(place)
        picture[y : y + height, x : x + width] = small
    found = yunet.detect(picture)
    assert len(found) == len(placed) >= 3
    for place in placed:
        x, y, width, _ = place.box
        scale = width / 210
        face = (x + (FACE[0] - 120) * scale, y + (FACE[1] - 20) * scale, FACE[2] * scale, FACE[3] * scale)
        assert max(overlap(Detection(face, place.landmarks, 1), other) for other in found) > 0.7


@pytest.mark.slow
def test_a_close_up_that_fills_a_very_large_picture_is_one_face(yunet: YuNet, astronaut: Image) -> None:
    (face,) = yunet.detect(
        np.asarray(cv2.resize(astronaut[CROP], (6000, 6000), interpolation=cv2.INTER_CUBIC))
    )
    scale = 6000 / 210
    box = ((FACE[0] - 120) * scale, (FACE[1] - 20) * scale, FACE[2] * scale, FACE[3] * scale)
    assert overlap(face, Detection(box, face.landmarks, 1)) > 0.7


def test_a_turned_small_face_in_a_large_picture_is_found_with_rotations(
    yunet: YuNet, astronaut: Image
) -> None:
    turning = YuNet(yunet.model, rotations=True)
    picture = np.full((900, 7000, 3), 90, np.uint8)
    small = np.rot90(cv2.resize(astronaut[CROP], (126, 126), interpolation=cv2.INTER_AREA))
    picture[700:826, 5211:5337] = small
    (face,) = turning.detect(picture)
    # The middle of the face, turned a quarter against the clock.
    x, y = FACE[0] + FACE[2] / 2 - 120, FACE[1] + FACE[3] / 2 - 20
    expected = (5211 + y * 0.6, 700 + (210 - x) * 0.6)
    middle = (face.box[0] + face.box[2] / 2, face.box[1] + face.box[3] / 2)
    assert np.linalg.norm(np.subtract(middle, expected)) < 8


@pytest.mark.parametrize("length", [1, 500, 1600, 1601, 3000, 9333, 450_000])
@pytest.mark.parametrize("overlap", [10, 160, 780])
def test_whatever_is_no_longer_than_the_overlap_lies_whole_in_one_span(length: int, overlap: int) -> None:
    parts = spans(length, overlap)
    assert parts[0][0] == 0
    assert parts[-1][1] >= length
    assert max(end - start for start, end in parts) <= max(FINE, 1)
    for (_, end), (start, _) in pairwise(parts):
        assert end - start >= overlap - 1
