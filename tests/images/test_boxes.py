from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from face_analysis.images.boxes import Wanted, distinct, inside, overlap, wanted
from face_analysis.types import Detection

Box = tuple[float, float, float, float]


def face(box: Box, score: float = 0.9, middle: tuple[float, float] | None = None) -> Detection:
    """A face whose landmarks have their mean at `middle`, by default that of the box."""
    x, y = middle or (box[0] + box[2] / 2, box[1] + box[3] / 2)
    around = np.array([(-2, -2), (2, -2), (0, 0), (-1, 2), (1, 2)], np.float32)
    return Detection(box, around + np.array([x, y], np.float32), score)


def pixels(box: Box) -> set[tuple[int, int]]:
    x, y, width, height = (int(value) for value in box)
    return {(column, row) for column in range(x, x + width) for row in range(y, y + height)}


def random_boxes(count: int, seed: int) -> list[Box]:
    places = np.random.default_rng(seed).integers((-5, -5, 1, 1), (25, 25, 25, 25), (count, 4))
    return [(int(x), int(y), int(width), int(height)) for x, y, width, height in places]


@pytest.mark.parametrize("unit", [1, 0.37, 113.9])
def test_overlap_is_the_share_of_common_pixels(unit: float) -> None:
    for box, other in pairwise(random_boxes(200, seed=0)):
        expected = len(pixels(box) & pixels(other)) / len(pixels(box) | pixels(other))
        x, y, width, height = (value * unit for value in box)
        u, v, across, down = (value * unit for value in other)
        found = overlap(face((x, y, width, height)), face((u, v, across, down)))
        assert found == pytest.approx(expected, abs=1e-9)


def test_boxes_that_touch_or_are_empty_do_not_overlap() -> None:
    assert overlap(face((0, 0, 10, 10)), face((10, 0, 10, 10))) == 0
    assert overlap(face((0, 0, 10, 10)), face((20, 20, 10, 10))) == 0
    assert overlap(face((5, 5, 0, 0)), face((5, 5, 0, 0))) == 0


@pytest.mark.parametrize("seed", range(20))
def test_distinct_keeps_what_opencvs_suppression_keeps(seed: int) -> None:
    boxes = random_boxes(30, seed)
    scores = np.random.default_rng(seed).permutation(30) / 100 + 0.5
    kept = distinct(face(box, score) for box, score in zip(boxes, scores, strict=True))
    expected = cv2.dnn.NMSBoxes([*map(list, boxes)], [*map(float, scores)], 0.0, 0.2999)
    assert [one.box for one in kept] == [boxes[number] for number in np.ravel(expected)]
    assert 5 < len(kept) < 30


def test_boxes_are_one_face_from_an_overlap_of_three_tenths() -> None:
    better, enough, little = face((0, 0, 13, 10), 0.9), face((7, 0, 13, 10), 0.8), face((-8, 0, 13, 10), 0.8)
    assert distinct([enough, better]) == [better]
    assert distinct([little, better]) == [better, little]


def test_a_face_dropped_for_a_better_one_drops_no_other() -> None:
    first, second, third = face((0, 0, 10, 10), 0.9), face((4, 0, 10, 10), 0.8), face((8, 0, 10, 10), 0.7)
    assert distinct([third, second, first]) == [first, third]


@pytest.mark.parametrize(
    ("middle", "expected"),
    [
        ((0, 0), True),
        ((199, 99), True),
        ((150, 50), True),
        ((50, 150), False),
        ((200, 50), False),
        ((50, 100), False),
        ((-0.5, 50), False),
        ((50, -0.5), False),
    ],
)
@pytest.mark.parametrize("shape", [(100, 200), (100, 200, 3)])
def test_a_face_is_inside_when_its_middle_is(
    middle: tuple[float, float], expected: bool, shape: tuple[int, ...]
) -> None:
    assert inside(face((middle[0] - 70, middle[1] - 70, 90, 90), middle=middle), shape) is expected


SMALL = face((300, 40, 12, 20), 0.99)
TALL = face((180, 60, 10, 90), 0.8)
WIDE = face((20, 10, 40, 50), 0.7)
MIDDLE = face((190, 10, 30, 35), 0.75, middle=(205, 40))


@pytest.mark.parametrize(
    ("which", "min_size", "expected"),
    [
        ("all", 0, [WIDE, TALL, MIDDLE, SMALL]),
        ("all", 20, [WIDE, TALL, MIDDLE, SMALL]),
        ("all", 20.5, [WIDE, TALL, MIDDLE]),
        ("all", 51, [TALL]),
        ("largest", 0, [WIDE]),
        ("largest", 51, [TALL]),
        ("centre", 0, [MIDDLE]),
        ("centre", 36, [TALL]),
    ],
)
def test_the_wanted_faces_come_from_left_to_right(
    which: Wanted, min_size: float, expected: list[Detection]
) -> None:
    assert wanted([SMALL, TALL, MIDDLE, WIDE], which, (100, 400, 3), min_size) == expected


@pytest.mark.parametrize("which", ["all", "largest", "centre"])
def test_of_no_faces_none_is_wanted(which: Wanted) -> None:
    assert wanted([], which, (100, 400, 3)) == []
    assert wanted([WIDE, SMALL], which, (100, 400, 3), 60) == []


def test_faces_one_above_the_other_come_from_the_top() -> None:
    lower, upper = face((10, 60, 20, 20)), face((10, 5, 20, 20))
    assert wanted([lower, upper], "all", (100, 100)) == [upper, lower]
