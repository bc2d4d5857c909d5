from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import face_analysis
from face_analysis import FaceAnalyzer, align_chip
from face_analysis.errors import MissingFileError, UnreadableImageError, UsageError
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


def test_wrong_input_says_what_is_wrong(model: Path, photos: Path, tmp_path: Path) -> None:
    analyzer = FaceAnalyzer(model)
    with pytest.raises(MissingFileError, match=r"absent\.jpg"):
        analyzer.analyze(tmp_path / "absent.jpg")
    with pytest.raises(UnreadableImageError, match=r"broken\.jpg"):
        analyzer.analyze(photos / "sub" / "broken.jpg")
    with pytest.raises(UsageError, match=r"float64 \(4, 4, 3\)"):
        analyzer.analyze(np.zeros((4, 4, 3)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"\(4, 4\)"):
        analyzer.analyze(np.zeros((4, 4), np.uint8))


def test_an_aligned_chip_is_not_searched(model: Path, photos: Path) -> None:
    (face,) = FaceAnalyzer(model, aligned=True).analyze(photos / "empty.png")
    assert face.detection is None
    assert face.gender is not None


def test_the_package_gives_its_names_when_asked_and_no_others() -> None:
    assert face_analysis.FaceAnalyzer is FaceAnalyzer
    with pytest.raises(AttributeError, match="no attribute 'Analyzer'"):
        face_analysis.Analyzer  # noqa: B018
