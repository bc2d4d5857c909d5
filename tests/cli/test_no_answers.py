"""Models that give zeros or NaN for some pictures, or for all: the dark ones here."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper
from PIL import Image

from face_analysis.matching.features.feature_set import open_feature_set
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.weights import save_model
from face_analysis.zoo.card import BackboneConfig, ModelCard
from tests.cli.conftest import Run
from tests.datasets.ijb_files import write_people
from tests.inference.onnx_files import SIZE, model, one_by_one, saved

FAULTS = {"zero": ("Relu", "all zeros"), "nan": ("Log", "not finite")}
DARK = {"b.png", "d.png"}


def network(path: Path, fault: str) -> Path:
    """Relu or the logarithm of the mean of all pixels, which are -1 to 1: none for a dark picture."""
    nodes = [
        helper.make_node("ReduceMean", ["f"], ["m"], axes=[1], keepdims=1),
        helper.make_node(FAULTS[fault][0], ["m"], ["answer"]),
        helper.make_node("Abs", ["answer"], ["size"]),
        helper.make_node("Mul", ["e", "size"], ["k"]),
    ]
    return saved(model(["N", 3, 112, 112], nodes=nodes, outputs=[("k", ["N", SIZE])]), path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder, generator = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png", "d.png", "e.png"):
        low, high = (0, 60) if name in DARK else (160, 256)
        Image.fromarray(generator.integers(low, high, (112, 112, 3), np.uint8)).save(folder / name)
    return folder


def errors(folder: Path) -> dict[str, str]:
    with (folder / "errors.csv").open(newline="") as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("fault", FAULTS)
def test_extract_leaves_out_and_names_the_pictures_without_an_embedding(
    run: Run, pictures: Path, tmp_path: Path, fault: str
) -> None:
    path = network(tmp_path / "n.onnx", fault)
    status, _, err = run(f"extract -s {pictures} --aligned -m {path} -d {tmp_path}/set -b 2")
    assert (status, "2 images could not be used" in err) == (1, True)
    found = errors(tmp_path / "set")
    assert found.keys() == DARK
    assert all(FAULTS[fault][1] in reason for reason in found.values())
    features = open_feature_set(tmp_path / "set")
    assert features.paths == ["a.png", "c.png", "e.png"]
    chips = np.stack([np.asarray(Image.open(pictures / name)) for name in features.paths])
    np.testing.assert_allclose(features.embeddings, one_by_one(path, chips, output="k"), atol=1e-5)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("layout", ["set", "original"])
def test_extract_ends_with_an_error_where_no_picture_has_an_embedding(
    run: Run, pictures: Path, tmp_path: Path, fault: str, layout: str
) -> None:
    for name in {path.name for path in pictures.iterdir()} - DARK:
        (pictures / name).unlink()
    words = f"extract -s {pictures} --aligned -m {network(tmp_path / 'n.onnx', fault)} --format {layout}"
    status, out, err = run(f"{words} -d {tmp_path}/set")
    assert (status, out) == (1, "")
    assert "no usable numbers for any face" in err
    assert FAULTS[fault][1] in err
    assert errors(tmp_path / "set").keys() == DARK
    left = {path.name for path in (tmp_path / "set").rglob("*") if path.is_file()}
    assert not {name for name in left if "embeddings" in name or "journal" in name or name.endswith(".npy")}


def test_pairs_with_a_picture_without_an_embedding_are_left_out(run: Run, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    files = []
    for row in range(40):
        low, high = (0, 60) if row in (3, 10, 11) else (160, 256)
        Image.fromarray(generator.integers(low, high, (112, 112, 3), np.uint8)).save(tmp_path / "one.png")
        files.append((tmp_path / "one.png").read_bytes())
    (tmp_path / "some.bin").write_bytes(pickle.dumps((files, [row % 2 == 0 for row in range(20)]), 2))
    words = f"evaluate --verification some -s {tmp_path} -m {network(tmp_path / 'n.onnx', 'nan')}"
    assert run(f"{words} -d {tmp_path}/out --no_flip")[0] == 1
    told = json.loads((tmp_path / "out" / "verification.json").read_text())["some"]
    assert told["pairs"] == {"mated": 10, "non_mated": 8}
    assert (told["pairs_left_out"], told["images"]) == (2, 37)
    assert len(errors(tmp_path / "out")) == 3
    (tmp_path / "some.bin").write_bytes(pickle.dumps(([files[3]] * 40, [True, False] * 10), 2))
    status, _, err = run(f"{words} -d {tmp_path}/none")
    assert (status, "no embedding for any of 1 images" in err, "not finite" in err) == (1, True, True)


def test_templates_are_made_of_the_pictures_with_an_embedding(
    run: Run, patterns: Path, tmp_path: Path
) -> None:
    folder = write_people(tmp_path / "IJBC", patterns)
    dark = folder / "loose_crop" / "000007.jpg"
    Image.new("RGB", Image.open(dark).size).save(dark)
    words = f"evaluate --verification IJBC -s {tmp_path} -m {network(tmp_path / 'n.onnx', 'zero')}"
    assert run(f"{words} -d {tmp_path}/out --mean 10 --no_flip")[0] == 1
    assert {Path(name).name for name in errors(tmp_path / "out")} == {"000007.jpg"}


@pytest.fixture
def without_answer(tmp_path: Path) -> Path:
    """A model whose gender is NaN for every face."""
    config = BackboneConfig("iresnet", 18, "ir", 0.125)
    built = AttributeNetwork(config, ("race", "gender")).eval()
    torch.nn.init.constant_(built.heads["gender"].bias, torch.nan)  # type: ignore[arg-type]
    save_model(tmp_path / "nan.safetensors", built, ModelCard("nan", ("race", "gender"), config))
    return tmp_path / "nan.safetensors"


def test_predict_says_nothing_of_a_face_that_the_model_has_no_answer_for(
    run: Run, photos: Path, without_answer: Path, tmp_path: Path
) -> None:
    status, out, err = run(f"predict {photos}/both.jpg {photos}/hopper.jpg -m {without_answer}")
    assert (status, out) == (1, "")
    assert "hopper.jpg: the model's gender is not finite" in err
    assert "both.jpg: face 1 of 2: the model's gender is not finite" in err
    assert "no usable numbers for any face" in err
    status, out, _ = run(f"predict -s {photos} -m {without_answer} -d {tmp_path}/out")
    assert (status, out) == (1, "")
    assert not list((tmp_path / "out").glob("*_predictions.csv"))
    (listed,) = (tmp_path / "out").glob("*_errors.csv")
    assert "gender is not finite" in listed.read_text()


def test_calibrate_ends_with_an_error_where_the_model_has_no_answer(
    run: Run, patterns: Path, without_answer: Path, tmp_path: Path
) -> None:
    words = f"calibrate -m {without_answer} -s {patterns.parent} -i {patterns} -d {tmp_path}/out"
    status, _, err = run(words)
    assert (status, "no usable numbers for any face" in err) == (1, True)
