from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_analysis.reports.annotate import annotate, describe, write_annotated
from face_analysis.types import AgeEstimate, ClassEstimate, Detection, Face, Photo


def face(x: float = 40.0, y: float = 30.0, size: float = 50.0) -> Face:
    landmarks = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    return Face(
        "a.jpg",
        Detection((x, y, size, size), landmarks * size + [x, y], 0.9),
        ClassEstimate(("caucasian", "asian"), np.array([0.125, 0.875], np.float32)),
        ClassEstimate(("female", "male"), np.array([0.97, 0.03], np.float32)),
        AgeEstimate(34.4, 34, 26, 43),
    )


def test_a_face_is_told_in_one_line() -> None:
    (line,) = describe(Photo("a.jpg", (face(),)))
    assert line == "a.jpg: face at 40,30 of 50x50: female 97%, asian 88%, 34 years (26 to 43)"


def test_what_is_not_known_is_not_told() -> None:
    assert describe(Photo("a.jpg")) == ["a.jpg: no face found"]
    (line,) = describe(Photo("a.jpg", (Face("a.jpg", age=AgeEstimate(7.2, 7)),)))
    assert line == "a.jpg: 7 years"


@pytest.mark.parametrize("size", [(120, 160), (1200, 1600), (40, 30)])
@pytest.mark.parametrize("place", [(40, 30), (-20, -20), (9999, 9999), (100, 90)])
def test_drawing_keeps_the_photo_and_stays_within_it(size: tuple[int, int], place: tuple[int, int]) -> None:
    photo = np.full((*size, 3), 128, np.uint8)
    before = photo.copy()
    drawn = annotate(photo, [face(*map(float, place))])
    assert drawn.shape == photo.shape
    np.testing.assert_array_equal(photo, before)
    assert (drawn != photo).any()


def test_box_and_landmarks_are_drawn_where_they_are_and_words_below() -> None:
    photo = np.full((200, 300, 3), 128, np.uint8)
    drawn = annotate(photo, [face()])
    changed = (drawn != photo).any(axis=2)
    for x, y in ((40, 55), (90, 55), (65, 30), (65, 80), (55, 50), (75, 50)):
        assert changed[y - 1 : y + 2, x - 1 : x + 2].any(), (x, y)
    assert not changed[:, :37].any() or not changed[:25].any()
    assert changed[84:].any()


def test_a_copy_is_a_jpeg_in_a_folder_made_for_it(tmp_path: Path) -> None:
    write_annotated(np.full((60, 80, 3), 128, np.uint8), [face()], tmp_path / "new" / "b.jpg")
    with Image.open(tmp_path / "new" / "b.jpg") as made:
        assert made.size == (80, 60)
