from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.errors import FeatureSetError, MissingFileError
from face_analysis.images.align import align_chip
from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode, fit
from face_analysis.matching.features.feature_set import open_feature_set
from face_analysis.models.iresnet import IResNet
from face_analysis.models.weights import load_recognition
from face_analysis.zoo.find import find
from tests.cli.conftest import Run, chips_of, fit_batch_norms
from tests.cli.killed_runs import STOPS, many_photos, stopped_when, tree

ROOT = Path(__file__).parents[2]


def by_opencv(chip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """SFace's embedding of a chip, by OpenCV's own reader and arithmetic."""
    network = cv2.dnn.readNetFromONNX(str(find("sface")))
    network.setInput(chip.transpose(2, 0, 1)[None].astype(np.float32), "data")
    embedding = network.forward()[0]
    return np.asarray(embedding / np.linalg.norm(embedding), np.float32)


def test_photos_become_rows_with_the_embedding_that_opencv_gives_of_their_chip(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    status, out, err = run(f"extract -s {photos} -d {tmp_path}/set --faces all -b 2")
    assert (status, out.strip()) == (1, f"{tmp_path}/set")
    assert "2 images could not be used" in err  # broken.jpg, and empty.png without a face
    found = open_feature_set(tmp_path / "set")
    assert found.paths == ["both.jpg", "both.jpg", "hopper.jpg", "sub/astronaut.jpg", "sub/turned.jpg"]
    image = decode((photos / "both.jpg").read_bytes(), "both.jpg")
    faces = [chip.detection for chip in ChipMaker.with_detector().cut(image, "both.jpg")]
    for row, face in enumerate(faces):
        assert face is not None
        expected = by_opencv(align_chip(image, face.landmarks))
        assert found.embeddings[row] @ expected >= 0.9995
        assert float(found.columns["x"][row]) == pytest.approx(face.box[0], abs=0.006)
        assert float(found.columns["score"][row]) == pytest.approx(face.score, abs=1e-6)
    same = found.embeddings[[0, 1]] @ found.embeddings[[2, 3]].T
    assert np.diag(same).min() > 0.9 > 0.3 > max(same[0, 1], same[1, 0])


def test_flip_adds_the_embedding_of_the_mirrored_chip(run: Run, photos: Path, tmp_path: Path) -> None:
    chips = tmp_path / "chips"
    run(f"align {photos} {chips} --faces all")
    for name in ("plain", "flipped"):
        words = f"extract -s {chips} -i {chips}/chips.csv -d {tmp_path}/{name} --aligned"
        run(words + " --flip" * (name == "flipped"))
    plain, flipped = (open_feature_set(tmp_path / name).embeddings for name in ("plain", "flipped"))
    for row, name in enumerate(read_image_list(chips / "chips.csv").images):
        chip = decode((chips / name).read_bytes(), name)
        expected = by_opencv(chip) + by_opencv(np.ascontiguousarray(chip[:, ::-1]))
        assert flipped[row] @ (expected / np.linalg.norm(expected)) >= 0.9995
        assert plain[row] @ by_opencv(chip) >= 0.9995


def test_the_index_keeps_the_labels_of_a_list_and_the_set_those_of_a_packed_file(
    run: Run, patterns: Path, tmp_path: Path
) -> None:
    run(f"pack -l {patterns} -s {patterns.parent} -a age -d {tmp_path}/p.lmdb")
    listed, packed = f"-s {patterns.parent} -i {patterns}", f"-s {tmp_path}/p.lmdb"
    for name, source in (("a", listed), ("b", packed)):
        assert run(f"extract {source} -d {tmp_path}/{name} --aligned")[0] == 0
    labels = read_image_list(patterns).labels
    a, b = open_feature_set(tmp_path / "a"), open_feature_set(tmp_path / "b")
    for column in ("race", "gender", "age"):
        assert a.columns[column] == b.columns[column] == [str(value) for value in labels[column]]
    assert a.paths == b.paths
    np.testing.assert_array_equal(a.embeddings, b.embeddings)


@pytest.mark.slow
@STOPS
def test_an_extract_that_was_killed_ends_as_one_that_was_not(
    run: Run, photos: Path, tmp_path: Path, stop: int
) -> None:
    many = many_photos(photos, tmp_path / "many")
    words = f"extract -s {many} -b 20 -d"
    assert run(f"{words} {tmp_path / 'whole'}")[0] == 1
    stopped_when(f"{words} {tmp_path / 'killed'}", tmp_path / "killed" / ".index.csv.journal", 1000, stop)
    assert not (tmp_path / "killed" / "embeddings.npy").exists()
    assert run(f"{words} {tmp_path / 'killed'} --resume")[0] == 1
    whole, killed = tree(tmp_path / "whole"), tree(tmp_path / "killed")
    assert killed.keys() == whole.keys()
    for name in ("embeddings.npy", "index.csv", "errors.csv"):
        assert killed[name] == whole[name]


def test_the_original_command_writes_a_file_an_image_with_the_exact_embedding(
    patterns: Path, tmp_path: Path
) -> None:
    names = read_image_list(patterns).images[:4]
    images = chips_of(patterns, 4)
    torch.manual_seed(0)
    network = IResNet(50, "ir", dropout=0)
    fit_batch_norms(network, images)
    with torch.inference_mode():
        expected = network(images).numpy()
    model = tmp_path / "model_2020-01-02_accuracy:0.9_step:8.pth"
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, model)
    image_list = tmp_path / "list.txt"
    image_list.write_text("\n".join(names) + "\n")
    words = f"-s {patterns.parent} -i {image_list} -d {tmp_path}/features -m {model} -b 250 -n ir"
    command = [sys.executable, str(ROOT / "feature_extraction.py"), *words.split()]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
    assert np.triu(expected @ expected.T, 1).max() < 0.5, "the embeddings must not fall together"
    for name, embedding in zip(names, expected, strict=True):
        found = np.load(tmp_path / "features" / "patterns" / f"{Path(name).stem}.npy")
        assert found.shape == (512,)
        assert found @ embedding >= 0.9999


def test_a_model_of_recognition_embeds_as_its_network_does(
    run: Run, patterns: Path, recognition_model: Path, tmp_path: Path
) -> None:
    words = f"extract -s {patterns.parent} -i {patterns} -d {tmp_path}/set --aligned -b 25"
    assert run(f"{words} -m {recognition_model}")[0] == 0
    with torch.inference_mode():
        expected = load_recognition(recognition_model).network(chips_of(patterns, 60)).numpy()
    found = open_feature_set(tmp_path / "set").embeddings
    assert np.triu(expected @ expected.T, 1).max() < 0.99, "the embeddings must not fall together"
    assert (found * expected).sum(axis=1).min() >= 0.999  # bfloat16 where that is fast


def means_of_channels(path: Path, batch: int | str) -> Path:
    """An ONNX network whose embedding is the mean of each channel."""
    reduce = helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0)
    graph = helper.make_graph(
        [reduce],
        "means",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", [1, "n"])
def test_an_onnx_file_gets_the_colours_and_numbers_it_is_said_to_take(
    run: Run, patterns: Path, tmp_path: Path, batch: int | str
) -> None:
    model = means_of_channels(tmp_path / "means.onnx", batch)
    words = f"-s {patterns.parent} -i {patterns} -d {tmp_path}/set -m {model} --aligned"
    assert run(f"extract {words} --colour BGR --mean 100 --scale 50")[0] == 0
    found = open_feature_set(tmp_path / "set")
    for row in range(0, 60, 13):
        name = found.paths[row]
        chip = fit(decode((patterns.parent / name).read_bytes(), name)).astype(float)
        expected = (chip[..., ::-1].mean(axis=(0, 1)) - 100) / 50
        np.testing.assert_allclose(found.embeddings[row], expected / np.linalg.norm(expected), atol=1e-5)


def test_wrong_options_and_models_are_named(
    run: Run, photos: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    for words, named in (
        ("-m nothing", "nothing"),
        (f"-m {tmp_path}/text.onnx", "text.onnx"),
        ("-m yunet", "yunet"),
        (f"-m {models['joint']}", "give it to `predict`"),
        ("--format original --faces all", "--faces"),
        ("-b 0", "--batch_size"),
    ):
        status, _, err = run(f"extract -s {photos} -d {tmp_path}/set {words}")
        assert (status, named in err) == (2, True), err
    assert not (tmp_path / "set").exists()


def test_a_set_that_does_not_fit_is_refused_by_name(run: Run, patterns: Path, tmp_path: Path) -> None:
    model = means_of_channels(tmp_path / "m.onnx", 1)
    tmp_path = tmp_path / "set"
    run(f"extract -s {patterns.parent} -i {patterns} -d {tmp_path} --aligned -m {model}")
    index = (tmp_path / "index.csv").read_text().splitlines()
    with (tmp_path / "index.csv").open(newline="") as file:
        assert [row["row"] for row in csv.DictReader(file)] == [str(row) for row in range(60)]
    for text, reason in (
        ("\n".join(index[:-1]), "59 rows for 60"),
        ("\n".join(["a,b", *index[1:]]), "lacks"),
        ("\n".join([index[0], index[2], index[1], *index[3:]]), "row 0"),
    ):
        (tmp_path / "index.csv").write_text(text + "\n")
        with pytest.raises(FeatureSetError, match=reason):
            open_feature_set(tmp_path)
    (tmp_path / "index.csv").write_text("\n".join(index) + "\n")
    whole = (tmp_path / "embeddings.npy").read_bytes()
    (tmp_path / "embeddings.npy").write_bytes(whole[:-8])
    with pytest.raises(FeatureSetError, match=r"embeddings\.npy"):
        open_feature_set(tmp_path)
    np.save(tmp_path / "embeddings.npy", np.zeros((60, 3)))
    with pytest.raises(FeatureSetError, match="float64"):
        open_feature_set(tmp_path)
    with pytest.raises(MissingFileError):
        open_feature_set(tmp_path / "none")
