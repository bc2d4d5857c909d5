from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import face_analysis
from face_analysis import FaceAnalyzer, align_chip
from face_analysis.errors import MissingFileError, NoAnswerError, UnreadableImageError, UsageError
from face_analysis.images.decode import decode
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.weights import load_model, save_model
from face_analysis.zoo.card import BackboneConfig, ModelCard


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = BackboneConfig("iresnet", 18, "ir", 0.125)
    card = ModelCard("small", ("race", "gender", "age"), config)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, AttributeNetwork(config, ("race", "gender", "age")).eval(), card)
    return path


def test_faces_have_the_estimates_of_a_plain_forward_pass_of_their_chip(model: Path, photos: Path) -> None:
    photo = decode((photos / "both.jpg").read_bytes(), "both")
    faces = FaceAnalyzer(model).analyze(photo)
    assert len(faces) == 2
    network = load_model(model).network
    for face in faces:
        assert face.detection is not None
        assert face.race is not None
        assert face.age is not None
        chip = torch.from_numpy(align_chip(photo, face.detection.landmarks)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            logits = network(chip / 127.5 - 1)
        np.testing.assert_allclose(face.race.probabilities, F.softmax(logits["race"][0], 0), atol=0.01)
        assert face.age.years == pytest.approx(float(torch.sigmoid(logits["age"][0]).sum()), abs=0.3)
        assert face.race.label == face.race.labels[int(face.race.probabilities.argmax())]
    first, second = (face.detection.box[0] for face in faces if face.detection)
    assert first < 512 < second


def test_a_model_that_wants_it_averages_over_the_mirrored_chip(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    loaded = load_model(model)
    save_model(tmp_path / "mirrored.safetensors", loaded.network, replace(loaded.card, mirrored=True))
    photo = decode((photos / "hopper.jpg").read_bytes(), "hopper")
    (face,) = FaceAnalyzer(tmp_path / "mirrored.safetensors").analyze(photo)
    assert face.detection is not None
    assert face.gender is not None
    chip = torch.from_numpy(align_chip(photo, face.detection.landmarks)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        logits = sum(loaded.network(image)["gender"][0] for image in (chip, chip.flip(3))) / 2
    np.testing.assert_allclose(face.gender.probabilities, F.softmax(logits, 0), atol=0.01)


def test_a_file_an_array_and_many_at_once_agree(model: Path, photos: Path) -> None:
    analyzer, path = FaceAnalyzer(model), photos / "sub" / "turned.jpg"
    of_file = analyzer.analyze(path)
    of_array = analyzer.analyze(decode(path.read_bytes(), ""))
    (of_many,) = analyzer.analyze_many([str(path)])
    boxes = [
        [face.detection.box for face in faces if face.detection]
        for faces in (of_file, of_array, of_many.faces)
    ]
    assert boxes[0] == boxes[1] == boxes[2]
    years = [faces[0].age.years for faces in (of_file, of_array, of_many.faces) if faces[0].age]
    assert years == [pytest.approx(years[0], abs=1e-3)] * 3


def test_many_photos_are_given_in_order_with_their_failures(model: Path, photos: Path) -> None:
    names = ["both.jpg", "sub/broken.jpg", "empty.png", "hopper.jpg"]
    found = list(FaceAnalyzer(model).analyze_many(photos / name for name in names))
    assert [Path(photo.path).name for photo in found] == [Path(name).name for name in names]
    assert [len(photo.faces) for photo in found] == [2, 0, 0, 1]
    assert [photo.failure is not None for photo in found] == [False, True, False, False]


def test_what_cannot_be_read_is_a_failure_and_the_next_photo_follows(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    good = photos / "hopper.jpg"
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.jpg")
    bad: list[tuple[Any, str]] = [
        (tmp_path / "absent.jpg", "not found"),
        (tmp_path / "absent" / "a.jpg", "not found"),
        (good / "a.jpg", "Not a directory"),
        (tmp_path, "is a folder"),
        ("", "is a folder"),
        (tmp_path / "empty.jpg", "empty"),
        (tmp_path / "text.jpg", "not a picture"),
        (tmp_path / "pipe.jpg", "not a regular file"),
        (tmp_path / ("a" * 300), "too long"),
        ("a\0b.jpg", "null byte"),
        (photos / "sub" / "broken.jpg", "broken"),
        (b"a.jpg", "not a picture"),
        (np.zeros((4, 4, 2), np.uint8), r"(4, 4, 2)"),
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((0, 4, 3), np.uint8), r"(0, 4, 3)"),
        (None, "None"),
    ]
    given = [photo for pair in bad for photo in (good, pair[0])]
    found = list(FaceAnalyzer(model).analyze_many([*given, str(good)]))
    assert [len(photo.faces) for photo in found] == [1, 0] * len(bad) + [1]
    assert [photo.failure for photo in found[::2]] == [None] * (len(bad) + 1)
    for (_, reason), photo in zip(bad, found[1::2], strict=True):
        assert photo.failure is not None
        assert reason in photo.failure.reason
        assert photo.failure.path == photo.path
        assert photo.failure.kind == "unreadable"


@pytest.mark.parametrize("wrong", [7, ["a.jpg"], {"photo": "a.jpg"}])
def test_what_is_no_photo_at_all_is_an_error_at_its_place(model: Path, photos: Path, wrong: Any) -> None:
    coming = FaceAnalyzer(model).analyze_many([photos / "hopper.jpg", photos / "empty.png", wrong])
    assert [len(next(coming).faces), len(next(coming).faces)] == [1, 0]
    with pytest.raises(UsageError, match=rf"photo 2 is of the type {type(wrong).__name__}"):
        next(coming)
    with pytest.raises(UsageError, match="photo 0 is of the type"):
        FaceAnalyzer(model).analyze(wrong)


def test_one_photo_in_place_of_many_is_refused_at_once(model: Path, photos: Path) -> None:
    analyzer = FaceAnalyzer(model)
    one = decode((photos / "hopper.jpg").read_bytes(), "one")
    for photo in (photos / "hopper.jpg", str(photos / "hopper.jpg"), one):
        with pytest.raises(UsageError, match="analyze takes one"):
            analyzer.analyze_many(photo)  # type: ignore[arg-type]
    for batch_size, workers in ((0, 2), (96, -1)):
        with pytest.raises(UsageError, match="batch_size"):
            analyzer.analyze_many([one], batch_size, workers)
    assert [len(photo.faces) for photo in analyzer.analyze_many(one[None])] == [1]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_face_without_finite_numbers_is_a_failure_of_its_photo(
    tmp_path: Path, photos: Path, value: float
) -> None:
    config = BackboneConfig("iresnet", 18, "ir", 0.125)
    network = AttributeNetwork(config, ("gender", "age"), "l1").eval()
    torch.nn.init.constant_(network.heads["age"].bias, value)  # type: ignore[arg-type]
    card = ModelCard("nan", ("gender", "age"), config, age_loss="l1")
    save_model(tmp_path / "nan.safetensors", network, card)
    analyzer = FaceAnalyzer(tmp_path / "nan.safetensors")
    with pytest.raises(NoAnswerError, match=r"hopper\.jpg: the model's age is not finite"):
        analyzer.analyze(photos / "hopper.jpg")
    found = list(analyzer.analyze_many([photos / "both.jpg", photos / "empty.png"]))
    assert [photo.faces for photo in found] == [(), ()]
    assert found[0].failure is not None
    assert found[0].failure.kind == "no answer"
    assert found[0].failure.reason.endswith("face 1 of 2: the model's age is not finite (NaN or infinite)")
    assert found[1].failure is None


def test_wrong_input_says_what_is_wrong(model: Path, photos: Path, tmp_path: Path) -> None:
    analyzer = FaceAnalyzer(model)
    with pytest.raises(MissingFileError, match=r"absent\.jpg"):
        analyzer.analyze(tmp_path / "absent.jpg")
    with pytest.raises(UnreadableImageError, match=r"broken\.jpg"):
        analyzer.analyze(photos / "sub" / "broken.jpg")
    with pytest.raises(UnreadableImageError, match=r"float64 \(4, 4, 3\)"):
        analyzer.analyze(np.zeros((4, 4, 3)))
    with pytest.raises(UnreadableImageError, match=r"\(4, 4, 2\)"):
        analyzer.analyze(np.zeros((4, 4, 2), np.uint8))
    with pytest.raises(UnreadableImageError, match="None in place of a photo"):
        analyzer.analyze(None)  # type: ignore[arg-type]
    with pytest.raises(UnreadableImageError, match="is a folder"):
        analyzer.analyze(tmp_path)


def test_an_aligned_chip_is_not_searched(model: Path, photos: Path) -> None:
    (face,) = FaceAnalyzer(model, aligned=True).analyze(photos / "empty.png")
    assert face.detection is None
    assert face.gender is not None


def test_the_package_gives_its_names_when_asked_and_no_others() -> None:
    assert face_analysis.FaceAnalyzer is FaceAnalyzer
    with pytest.raises(AttributeError, match="no attribute 'Analyzer'"):
        face_analysis.Analyzer  # noqa: B018
