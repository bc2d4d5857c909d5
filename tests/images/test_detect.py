from __future__ import annotations

import csv
import io
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

from face_analysis.errors import ModelMismatchError
from face_analysis.images.boxes import overlap
from face_analysis.images.decode import decode
from face_analysis.images.detect import YuNet
from face_analysis.types import Detection, Image
from face_analysis.zoo.find import find

LANDMARKS = {
    "astronaut": np.array([(204, 102), (246, 104), (225, 126), (205, 142), (242, 143)], np.float64),
    "admiral": np.array([(224, 191), (305, 188), (267, 238), (230, 281), (302, 278)], np.float64),
}
"""Pupils, nose's tip and corners of the mouth, as seen by eye."""
WIDTHS = {"astronaut": 90, "admiral": 170}
"""Of the faces, in pixels."""
PORTRAITS = list(LANDMARKS)
UNDOING = {6: Pillow.Transpose.ROTATE_90, 3: Pillow.Transpose.ROTATE_180, 8: Pillow.Transpose.ROTATE_270}
"""For each EXIF orientation the turn that it undoes."""


@pytest.fixture
def portrait(request: pytest.FixtureRequest) -> Image:
    image: Image = request.getfixturevalue(request.param)
    return image


@pytest.fixture(scope="module")
def turning() -> YuNet:
    return YuNet(find("yunet"), rotations=True)


def assert_landmarks(found: Detection, expected: NDArray[np.float64], within: float) -> None:
    """Each landmark lies within that many pixels of where it should."""
    assert np.linalg.norm(found.landmarks - expected, axis=1).max() < within


def assert_same(found: list[Detection], expected: list[Detection]) -> None:
    assert [(face.box, face.score) for face in found] == [(face.box, face.score) for face in expected]
    for face, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(face.landmarks, other.landmarks)


def turned_points(points: NDArray[np.float64], turns: int, image: Image) -> NDArray[np.float64]:
    """Where points of the image lie in it when it is turned that often by 90 degrees against the clock."""
    height, width = image.shape[:2]
    for _ in range(turns):
        points = np.stack([points[:, 1], width - points[:, 0]], axis=-1)
        height, width = width, height
    return points


def enlarged(image: Image, side: int) -> Image:
    scale = side / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize(("name", "portrait"), [(name, name) for name in PORTRAITS], indirect=["portrait"])
def test_a_portrait_has_one_face_with_its_landmarks_in_order(
    yunet: YuNet, name: str, portrait: Image
) -> None:
    (face,) = yunet.detect(portrait)
    assert_landmarks(face, LANDMARKS[name], within=0.09 * WIDTHS[name])
    assert 0.9 < face.score <= 1
    assert face.landmarks.dtype == np.float32


@pytest.mark.parametrize("portrait", PORTRAITS, indirect=True)
def test_the_box_is_where_another_detector_finds_the_face(yunet: YuNet, portrait: Image) -> None:
    cascade = Cascade(lbp_frontal_face_cascade_filename())
    (theirs,) = cascade.detect_multi_scale(portrait, 1.2, 1, min_size=(60, 60), max_size=(250, 250))
    (face,) = yunet.detect(portrait)
    box = (theirs["c"], theirs["r"], theirs["width"], theirs["height"])
    assert overlap(face, Detection(box, face.landmarks, 1)) > 0.65


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize(("name", "portrait"), [(name, name) for name in PORTRAITS], indirect=["portrait"])
def test_a_face_in_a_turned_photo_is_found_when_rotations_are_searched(
    yunet: YuNet, turning: YuNet, name: str, portrait: Image, turns: int
) -> None:
    (face,) = turning.detect(np.ascontiguousarray(np.rot90(portrait, turns)))
    assert_landmarks(face, turned_points(LANDMARKS[name], turns, portrait), within=0.09 * WIDTHS[name])
    (upright,) = yunet.detect(portrait)
    x, y, width, height = upright.box
    corners = turned_points(np.array([(x, y), (x + width, y + height)]), turns, portrait)
    left, top = corners.min(axis=0)
    across, down = np.ptp(corners, axis=0)
    assert overlap(face, Detection((left, top, across, down), face.landmarks, 1)) > 0.75


def test_the_turned_face_of_a_large_photo_is_found(turning: YuNet, admiral: Image) -> None:
    photo = np.ascontiguousarray(np.rot90(enlarged(admiral, 2000)[:, 300:], 3))
    expected = turned_points(LANDMARKS["admiral"] * (2000 / 600) - (300, 0), 3, photo.swapaxes(0, 1))
    (face,) = turning.detect(photo)
    assert_landmarks(face, expected, within=0.09 * 170 * 2000 / 600)


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
@pytest.mark.parametrize(("name", "portrait"), [(name, name) for name in PORTRAITS], indirect=["portrait"])
def test_a_rolled_face_is_found_where_it_is(yunet: YuNet, name: str, portrait: Image, degrees: float) -> None:
    height, width = portrait.shape[:2]
    roll = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    (face,) = yunet.detect(np.asarray(cv2.warpAffine(portrait, roll, (width, height)), np.uint8))
    expected = LANDMARKS[name] @ roll[:, :2].T + roll[:, 2]
    distance = np.linalg.norm(face.landmarks.mean(axis=0) - expected.mean(axis=0))
    assert distance < 0.15 * WIDTHS[name]


@pytest.mark.parametrize("degrees", [-55, -40, -30, 30, 40, 55])
def test_the_landmarks_of_a_rolled_face_are_found_again_upright(
    yunet: YuNet, admiral: Image, degrees: float
) -> None:
    height, width = admiral.shape[:2]
    roll = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    (face,) = yunet.detect(np.asarray(cv2.warpAffine(admiral, roll, (width, height)), np.uint8))
    expected = LANDMARKS["admiral"] @ roll[:, :2].T + roll[:, 2]
    assert_landmarks(face, expected, within=0.1 * WIDTHS["admiral"])


@pytest.mark.parametrize(("name", "portrait"), [(name, name) for name in PORTRAITS], indirect=["portrait"])
def test_a_photo_of_3000_pixels_has_the_face_of_the_small_one(
    yunet: YuNet, name: str, portrait: Image
) -> None:
    scale = 3000 / max(portrait.shape[:2])
    (face,) = yunet.detect(enlarged(portrait, 3000))
    assert_landmarks(face, LANDMARKS[name] * scale, within=0.09 * WIDTHS[name] * scale)


def test_a_small_face_in_a_large_picture_is_kept(yunet: YuNet, admiral: Image) -> None:
    canvas = np.zeros((2000, 3000, 3), np.uint8)
    canvas[1500:1650, 2000:2128] = cv2.resize(admiral, (128, 150), interpolation=cv2.INTER_AREA)
    (face,) = yunet.detect(canvas)
    assert_landmarks(face, LANDMARKS["admiral"] / 4 + (2000, 1500), within=0.12 * WIDTHS["admiral"] / 4)


@pytest.mark.parametrize("side", [500, 640, 1000, 1600, 3000])
def test_a_close_up_of_any_size_has_one_face(yunet: YuNet, admiral: Image, side: int) -> None:
    close = admiral[90:362, 142:392]
    (face,) = yunet.detect(enlarged(close, side))
    expected = (LANDMARKS["admiral"] - (142, 90)) * (side / 272)
    assert_landmarks(face, expected, within=0.12 * WIDTHS["admiral"] * side / 272)


def test_two_people_side_by_side_are_two_faces(yunet: YuNet, astronaut: Image, admiral: Image) -> None:
    faces = yunet.detect(np.hstack([astronaut, admiral[:512]]))
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    left, right = sorted(faces, key=lambda face: face.box)
    assert_landmarks(left, LANDMARKS["astronaut"], within=8)
    assert_landmarks(right, LANDMARKS["admiral"] + (512, 0), within=16)


@pytest.mark.parametrize("rotations", [False, True])
def test_pictures_of_nothing_have_no_face(rotations: bool, yunet: YuNet, turning: YuNet) -> None:
    detector = turning if rotations else yunet
    generator = np.random.default_rng(0)
    for shape in ((480, 640, 3), (900, 700, 3), (112, 112, 3)):
        assert detector.detect(generator.integers(0, 256, shape).astype(np.uint8)) == []
        for value in (0, 127, 255):
            assert detector.detect(np.full(shape, value, np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3), (31, 33), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("rotations", [False, True])
def test_tiny_and_thin_pictures_have_no_face(
    shape: tuple[int, int], rotations: bool, yunet: YuNet, turning: YuNet
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert (turning if rotations else yunet).detect(image) == []


def test_a_face_is_found_from_its_score_on(yunet: YuNet, admiral: Image) -> None:
    (face,) = yunet.detect(admiral)
    (again,) = YuNet(find("yunet"), face.score - 0.001).detect(admiral)
    assert_same([again], [face])
    assert YuNet(find("yunet"), face.score + 0.001).detect(admiral) == []
    many = YuNet(find("yunet"), 0.02).detect(admiral)
    assert len(many) > 1
    assert_same(many[:1], [face])


def test_a_pickled_detector_finds_the_same(astronaut: Image) -> None:
    detector = YuNet(find("yunet"), 0.3, rotations=True)
    expected = detector.detect(np.rot90(astronaut))
    copy = pickle.loads(pickle.dumps(detector))
    assert copy.threshold == 0.3
    assert_same(copy.detect(np.rot90(astronaut)), expected)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert_same(pool.apply(detector.detect, (np.rot90(astronaut),)), expected)


def test_threads_find_what_one_finds(yunet: YuNet, astronaut: Image, admiral: Image) -> None:
    photos = [astronaut, admiral, astronaut[:300, 100:], admiral[50:450]] * 6
    expected = [yunet.detect(photo) for photo in photos]
    with ThreadPoolExecutor(4) as threads:
        for found, faces in zip(threads.map(yunet.detect, photos), expected, strict=True):
            assert_same(found, faces)


def test_a_file_that_is_no_model_is_refused_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a model")
    level = cv2.utils.logging.getLogLevel()
    with pytest.raises(ModelMismatchError, match=r"other\.onnx: not a YuNet model"):
        YuNet(path)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert cv2.utils.logging.getLogLevel() == level


@pytest.fixture(scope="module")
def counted(faces_data: Path) -> dict[str, tuple[Image, int]]:
    """Photos of one person, of pairs and of groups, with how many people each shows."""
    folder = faces_data / "photos"
    with (folder / "counts.csv").open(newline="") as file:
        counts = {row["file"]: int(row["faces"]) for row in csv.DictReader(file)}
    assert len(counts) >= 17
    return {name: (decode((folder / name).read_bytes(), name), count) for name, count in counts.items()}


@pytest.mark.faces
def test_in_photos_as_many_faces_are_found_as_there_are_people(
    yunet: YuNet, counted: dict[str, tuple[Image, int]]
) -> None:
    found = {name: len(yunet.detect(photo)) for name, (photo, _) in counted.items()}
    assert found == {name: count for name, (_, count) in counted.items()}


@pytest.mark.faces
@pytest.mark.parametrize("orientation", UNDOING)
def test_photos_that_exif_sets_upright_need_no_rotations(
    yunet: YuNet, counted: dict[str, tuple[Image, int]], orientation: int
) -> None:
    exif, found = Pillow.Exif(), {}
    exif[0x0112] = orientation
    for name, (photo, _) in counted.items():
        file = io.BytesIO()
        Pillow.fromarray(photo).transpose(UNDOING[orientation]).save(file, "JPEG", quality=95, exif=exif)
        found[name] = len(yunet.detect(decode(file.getvalue(), name)))
    assert found == {name: count for name, (_, count) in counted.items()}


@pytest.mark.faces
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_photos_without_exif_have_the_same_faces_when_rotations_are_searched(
    yunet: YuNet, turning: YuNet, counted: dict[str, tuple[Image, int]], turns: int
) -> None:
    for name, (photo, count) in counted.items():
        found = turning.detect(np.ascontiguousarray(np.rot90(photo, turns)))
        assert len(found) == count, name
        for face in yunet.detect(photo):
            expected = turned_points(face.landmarks.astype(np.float64), turns, photo)
            nearest = min(np.linalg.norm(other.landmarks - expected, axis=1).max() for other in found)
            assert nearest < 0.25 * max(face.box[2:]), name
