"""Two photos compared and faces drawn, from Python and from the shell."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from face_analysis import Face, FaceAnalyzer, compare, draw
from face_analysis.errors import MissingFileError, NoFaceError, UsageError
from face_analysis.images.decode import decode
from face_analysis.zoo.thresholds import THRESHOLDS
from tests.cli.conftest import Run

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def sface() -> FaceAnalyzer:
    return FaceAnalyzer(None, embeddings=True, precision="32-true")


def test_known_thresholds_are_those_that_were_measured() -> None:
    with (RESULTS / "demographics_lfw" / "rates.csv").open(newline="") as file:
        measured = {float(row["fmr_asked"]): float(row["threshold"]) for row in csv.DictReader(file)}
    for fmr, threshold in THRESHOLDS["sface"].scores.items():
        assert measured[fmr] == threshold


def test_the_score_is_the_cosine_of_the_embeddings_of_the_largest_faces(
    sface: FaceAnalyzer, photos: Path
) -> None:
    found = compare(photos / "both.jpg", photos / "hopper.jpg", analyzer=sface)
    faces = sface.analyze(photos / "both.jpg")
    largest = max(faces, key=lambda face: np.prod(face.detection.box[2:]))  # type: ignore[union-attr]
    (other,) = sface.analyze(photos / "hopper.jpg")
    assert largest.embedding is not None
    assert other.embedding is not None
    assert found.faces == (largest, other)
    assert found.score == pytest.approx(float(largest.embedding @ other.embedding), abs=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "same"), [("hopper", "sub/astronaut", False), ("hopper", "both", True)]
)
def test_one_person_reaches_the_threshold_and_two_do_not(
    sface: FaceAnalyzer, photos: Path, first: str, second: str, same: bool
) -> None:
    found = compare(photos / f"{first}.jpg", photos / f"{second}.jpg", analyzer=sface)
    assert found.same is same
    assert (found.threshold, found.fmr) == (0.3352, 1e-3)
    assert "LFW" in str(found)
    assert ("one person" if same else "two people") in str(found)


def test_a_threshold_that_is_given_decides(sface: FaceAnalyzer, photos: Path) -> None:
    pair = photos / "hopper.jpg", photos / "sub" / "astronaut.jpg"
    for threshold, same in ((-0.99, True), (0.9999, False)):
        found = compare(*pair, threshold=threshold, analyzer=sface)
        assert (found.same, found.fmr, found.measured_on) == (same, None, "")


def test_a_model_without_a_known_threshold_decides_nothing(photos: Path) -> None:
    mirrored = FaceAnalyzer(None, embeddings=True, mirrored=True)
    found = compare(photos / "hopper.jpg", photos / "both.jpg", analyzer=mirrored)
    assert (found.threshold, found.same) == (None, None)
    assert "nothing is decided" in str(found)


def test_what_cannot_be_compared_is_named(sface: FaceAnalyzer, photos: Path, tmp_path: Path) -> None:
    hopper = photos / "hopper.jpg"
    with pytest.raises(NoFaceError, match=r"empty\.png: no face found"):
        compare(hopper, photos / "empty.png", analyzer=sface)
    with pytest.raises(MissingFileError, match="gone"):
        compare(hopper, tmp_path / "gone.jpg", analyzer=sface)
    with pytest.raises(UsageError, match=r"fmr=0\.5: thresholds are known for 0\.01, 0\.001"):
        compare(hopper, hopper, fmr=0.5, analyzer=sface)
    with pytest.raises(UsageError, match="embeddings=True"):
        compare(hopper, hopper, analyzer=FaceAnalyzer())


def test_faces_without_an_embedding_or_a_box_say_so() -> None:
    with pytest.raises(UsageError, match=r"a\.jpg: the face has no embedding"):
        Face("a.jpg").similarity(Face("b.jpg"))
    with pytest.raises(UsageError, match=r"a\.jpg.*no box"):
        _ = Face("a.jpg").box_xyxy
    one, other = (Face(name, embedding=np.ones(size, np.float32)) for name, size in (("a", 3), ("b", 4)))
    with pytest.raises(UsageError, match="3 and 4 numbers"):
        one.similarity(other)


def test_a_face_as_a_dict_is_plain_json(photos: Path) -> None:
    (face,) = FaceAnalyzer(embeddings=True).analyze(photos / "hopper.jpg")
    found = json.loads(json.dumps(face.to_dict()))
    assert face.detection is not None
    assert face.gender is not None
    assert face.embedding is not None
    assert set(found) == {"path", "box", "landmarks", "score", "race", "gender", "age", "embedding"}
    assert found["box"] == list(face.detection.box)
    x, y, width, height = face.detection.box
    assert face.box_xyxy == (x, y, x + width, y + height)
    assert found["gender"]["probabilities"][found["gender"]["label"]] == face.gender.probability
    np.testing.assert_array_equal(np.float32(found["embedding"]), face.embedding)
    assert set(Face("a.jpg").to_dict()) == {"path"}


def test_draw_leaves_the_photo_and_marks_the_face(photos: Path) -> None:
    photo = decode((photos / "hopper.jpg").read_bytes(), "hopper")
    before = photo.copy()
    faces = FaceAnalyzer().analyze(photo)
    drawn = draw(photo, faces)
    np.testing.assert_array_equal(photo, before)
    x0, y0, x1, _ = (round(value) for value in faces[0].box_xyxy)
    changed = (drawn != photo).any(axis=2)
    assert changed[y0, x0:x1].mean() > 0.9, "the upper edge of the box"
    assert not changed[:10, :10].any()
    np.testing.assert_array_equal(draw(photo[:, :, ::-1], faces, bgr=True), drawn)


def test_the_command_prints_the_decision_in_words_and_as_json(run: Run, photos: Path) -> None:
    pair = f"{photos / 'hopper.jpg'} {photos / 'both.jpg'}"
    status, out, _ = run(f"compare {pair} --precision 32-true")
    assert status == 0
    expected = compare(*pair.split(), analyzer=FaceAnalyzer(None, embeddings=True, precision="32-true"))
    assert out.strip() == str(expected)
    status, out, _ = run(f"compare {pair} --format json --fmr 1e-4 --precision 32-true")
    found = json.loads(out)
    assert (found["threshold"], found["fmr"], found["same"]) == (0.3934, 1e-4, True)
    assert found["score"] == pytest.approx(expected.score)
    assert [face["path"] for face in found["faces"]] == pair.split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("hopper.jpg", "give two photos, not 1"),
        ("hopper.jpg both.jpg empty.png", "give two photos, not 3"),
        ("hopper.jpg empty.png", "no face found"),
        ("hopper.jpg sub/broken.jpg", "broken"),
        ("hopper.jpg both.jpg --fmr 0.5", "thresholds are known for"),
        ("hopper.jpg both.jpg --threshold 0.3 --card x.json", "not both"),
    ],
)
def test_the_command_names_what_is_wrong(run: Run, photos: Path, words: str, message: str) -> None:
    given = [
        str(photos / word) if "." in word and "/" not in word[:1] and not word[0].isdigit() else word
        for word in words.split()
    ]
    status, out, err = run(["compare", *given])
    assert status in (1, 2)
    assert out == ""
    assert message in err
