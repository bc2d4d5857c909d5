from __future__ import annotations

from dataclasses import replace

import numpy as np

from face_analysis.types import AgeEstimate, ClassEstimate, Detection, Face, ImageFailure, Photo


def face(x: float = 1, probability: float = 0.25, last: float = 0.5) -> Face:
    return Face(
        "a.jpg",
        Detection((x, 2, 3, 4), np.arange(10, dtype=np.float32).reshape(5, 2), 0.9),
        gender=ClassEstimate(("male", "female"), np.array([probability, 1 - probability], np.float32)),
        age=AgeEstimate(30.5, 30),
        embedding=np.array([0.5, last], np.float32),
    )


def test_results_are_equal_where_all_their_values_are_and_then_have_one_hash() -> None:
    assert face() == face()
    assert hash(face()) == hash(face())
    assert len({face(), face(), face(x=2), face(probability=0.5), face(last=0.25)}) == 4
    assert face() != replace(face(), embedding=None)
    assert face() != "a.jpg"
    photo = Photo("a.jpg", (face(),), ImageFailure("a.jpg", "broken"))
    assert photo == replace(photo, faces=(face(),))
    assert photo != replace(photo, faces=(face(), face()))
    assert len({photo, replace(photo)}) == 1


def test_arrays_of_other_kinds_or_shapes_are_not_equal() -> None:
    landmarks = np.zeros((5, 2), np.float32)
    one = Detection((1, 2, 3, 4), landmarks, 0.9)
    assert one != replace(one, landmarks=landmarks.reshape(2, 5))
    assert one != replace(one, landmarks=landmarks.view(np.int32))


def test_a_photo_without_a_face_says_why_it_is_not_used() -> None:
    assert Photo("a.jpg").unused == ("a.jpg", "no face found", "no face")
    assert Photo("a.jpg", (face(),)).unused is None
    broken = ImageFailure("a.jpg", "broken")
    assert Photo("a.jpg", failure=broken).unused == broken
