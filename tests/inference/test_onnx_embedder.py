from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from face_analysis.errors import FaceAnalysisError, MissingPackageError, ModelMismatchError, UsageError
from face_analysis.inference.embedder import open_embedder
from face_analysis.inference.onnx_embedder import OnnxEmbedder
from face_analysis.inference.onnx_form import ModelInput
from tests.inference.onnx_files import SIZE, Dimension, model, one_by_one, saved

ANY = ["N", 3, 112, 112]


@pytest.fixture
def chips() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (11, 112, 112, 3), np.uint8)


def embedder(network: ModelProto, folder: Path, **given: object) -> OnnxEmbedder:
    return OnnxEmbedder(saved(network, folder / "n.onnx"), ModelInput(**given))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
@pytest.mark.parametrize(
    "shape", [ANY, ["N", 112, 112, 3], [1, 3, 112, 112], [4, 112, 112, 3], [32, 3, 112, 112]]
)
def test_embeddings_are_those_of_a_loop_over_the_images(
    tmp_path: Path, chips: NDArray[np.uint8], shape: list[Dimension], dtype: str
) -> None:
    batch = shape[0] if isinstance(shape[0], int) else None
    network = embedder(model(shape, dtype, outputs=[("e", [batch or "N", SIZE])]), tmp_path)
    expected = one_by_one(tmp_path / "n.onnx", chips, batch=batch or 1)
    np.testing.assert_allclose(network.embed(chips), expected, atol=1e-3 if dtype == "float16" else 1e-5)
    np.testing.assert_allclose(
        network.embed(chips[:1]), expected[:1], atol=1e-3 if dtype == "float16" else 1e-5
    )
    assert (network.size, network.side) == (SIZE, 112)


@pytest.mark.parametrize(
    "shape", [["N", 3, "H", "W"], ["N", "H", "W", 3], ["N", "C", "H", "W"], ["N", 3, 112, "W"]]
)
def test_sizes_that_the_file_leaves_open_are_those_of_a_chip(
    tmp_path: Path, chips: NDArray[np.uint8], shape: list[Dimension]
) -> None:
    network = embedder(model(shape, layout="NHWC" if shape[3] == 3 else "NCHW", side=112), tmp_path)
    np.testing.assert_allclose(network.embed(chips), one_by_one(tmp_path / "n.onnx", chips), atol=1e-5)


def test_the_layout_is_tried_where_no_axis_says_which_holds_the_colours(
    tmp_path: Path, chips: NDArray[np.uint8]
) -> None:
    network = embedder(model(["N", "a", "b", "c"], layout="NHWC", side=112), tmp_path)
    plain = embedder(model(["N", 112, 112, 3]), tmp_path)
    np.testing.assert_allclose(network.embed(chips), plain.embed(chips), atol=1e-6)


def test_another_size_is_given_and_told(
    tmp_path: Path, chips: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        network = embedder(model(["N", 3, 160, 160]), tmp_path)
    assert network.side == 160
    assert "160x160 (the template of 112x112, scaled)" in caplog.text
    large = np.stack(
        [np.asarray(Image.fromarray(chip).resize((160, 160), Image.Resampling.BILINEAR)) for chip in chips]
    )
    np.testing.assert_allclose(network.embed(large), one_by_one(tmp_path / "n.onnx", large), atol=1e-5)
    assert (network.embed(chips) * network.embed(large)).sum(axis=1).min() > 0.99


def test_what_the_file_is_taken_for_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chips = np.zeros((9, 112, 112, 3), np.uint8)
    with caplog.at_level(logging.INFO):
        network = embedder(model([8, 112, 112, 3]), tmp_path, colour="BGR", mean=100, scale=50)
        network.embed(chips)
    (line,) = caplog.messages
    for part in (
        "BGR float32 NHWC",
        "(pixel - 100) / 50",
        "8 at a time",
        "`e`",
        f"{SIZE} numbers",
        "--output",
    ):
        assert part in line


def test_colours_mean_and_scale_are_those_that_are_said(tmp_path: Path, chips: NDArray[np.uint8]) -> None:
    network = embedder(model(ANY), tmp_path, colour="BGR", mean=3, scale=7)
    expected = one_by_one(tmp_path / "n.onnx", chips, colour="BGR", mean=3, scale=7)
    np.testing.assert_allclose(network.embed(chips), expected, atol=1e-5)


def reshaped(*shape: int) -> dict[str, object]:
    return {
        "nodes": [helper.make_node("Reshape", ["e", "shape"], ["k"])],
        "constants": {"shape": np.array(shape)},
        "outputs": [("k", None)],
    }


@pytest.mark.parametrize("shape", [(1, SIZE), (1, -1), (1, SIZE, 1, 1)])
def test_a_network_that_is_fixed_to_one_image_inside_runs_them_one_by_one(
    tmp_path: Path, chips: NDArray[np.uint8], shape: tuple[int, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    network = embedder(model(ANY, **reshaped(*shape)), tmp_path)  # type: ignore[arg-type]
    found = network.embed(chips)
    assert capfd.readouterr().err == ""  # onnxruntime prints each error that it raises
    np.testing.assert_allclose(found, one_by_one(tmp_path / "n.onnx", chips, output="k"), atol=1e-5)


def test_a_network_that_is_fixed_to_several_images_inside_gets_so_many(
    tmp_path: Path, chips: NDArray[np.uint8]
) -> None:
    network = embedder(model(ANY, **reshaped(4, SIZE)), tmp_path)  # type: ignore[arg-type]
    plain = saved(model(ANY), tmp_path / "plain.onnx")
    np.testing.assert_allclose(network.embed(chips), one_by_one(plain, chips), atol=1e-5)


def test_a_network_that_mixes_the_images_of_a_batch_runs_them_one_by_one(
    tmp_path: Path, chips: NDArray[np.uint8]
) -> None:
    largest = helper.make_node("ReduceMax", ["e"], ["largest"], axes=[0], keepdims=1)
    nodes = [largest, helper.make_node("Add", ["e", "largest"], ["k"])]
    network = embedder(model(ANY, nodes=nodes, outputs=[("k", ["N", SIZE])]), tmp_path)
    np.testing.assert_allclose(
        network.embed(chips), one_by_one(tmp_path / "n.onnx", chips, output="k"), atol=1e-5
    )


LENGTH = helper.make_node("ReduceL2", ["e"], ["n"], axes=[1], keepdims=1)
FEATURES, NUMBER = ("p", ["N", 3, 4, 4]), ("n", ["N", 1])
EMBEDDING, FIELDS = ("e", ["N", SIZE]), ("f", ["N", 48])


@pytest.mark.parametrize(
    ("outputs", "wanted", "expected"),
    [
        ([FEATURES, EMBEDDING], None, "e"),
        ([EMBEDDING, NUMBER], None, "e"),
        ([("weight", [48, SIZE]), EMBEDDING], None, "e"),
        ([EMBEDDING, FIELDS], None, "e"),
        ([EMBEDDING, FIELDS], "f", "f"),
        ([NUMBER, EMBEDDING], "e", "e"),
    ],
)
def test_the_embedding_is_the_first_output_with_a_row_an_image_or_the_one_that_is_named(
    tmp_path: Path, chips: NDArray[np.uint8], outputs: list, wanted: str | None, expected: str
) -> None:
    network = embedder(model(ANY, nodes=[LENGTH], outputs=outputs), tmp_path, output=wanted)
    found = network.embed(chips)
    np.testing.assert_allclose(found, one_by_one(tmp_path / "n.onnx", chips, output=expected), atol=1e-5)


@pytest.mark.parametrize("shape", [(0, SIZE, 1, 1), (0, 1, 1, SIZE)])
def test_axes_of_length_1_are_no_part_of_an_embedding(
    tmp_path: Path, chips: NDArray[np.uint8], shape: tuple[int, ...]
) -> None:
    network = embedder(model(ANY, **reshaped(*shape)), tmp_path)  # type: ignore[arg-type]
    np.testing.assert_allclose(
        network.embed(chips), one_by_one(tmp_path / "n.onnx", chips, output="k"), atol=1e-5
    )


@pytest.mark.parametrize(
    ("outputs", "wanted", "told"),
    [
        ([NUMBER, EMBEDDING], None, r"`n` is one number an image.* give --output e"),
        ([NUMBER], None, "one number an image"),
        ([EMBEDDING, NUMBER], "n", "one number an image"),
        ([FEATURES], None, r"no output gives one row .* `p` \[1, 3, 4, 4\]"),
        ([EMBEDDING, FEATURES], "p", "`p` does not give one row"),
        ([EMBEDDING], "embedding", r"no output `embedding`; its outputs are `e` \[2, 16\]"),
    ],
)
def test_outputs_that_are_no_embedding_are_refused(
    tmp_path: Path, outputs: list, wanted: str | None, told: str
) -> None:
    with pytest.raises((ModelMismatchError, UsageError), match=told):
        embedder(model(ANY, nodes=[LENGTH], outputs=outputs), tmp_path, output=wanted)


def test_scaling_is_refused_for_a_network_of_whole_numbers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="whole numbers of 0 to 255"):
        embedder(model(ANY, "uint8"), tmp_path, mean=127.5)
    embedder(model(ANY, "uint8"), tmp_path, mean=0, scale=1)


GREY = np.zeros((16, SIZE), np.float32)


def without_batch() -> ModelProto:
    network = model(ANY)
    graph = network.graph
    graph.node.insert(0, helper.make_node("Unsqueeze", ["picture", "first"], ["x"]))
    graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("picture", TensorProto.FLOAT, [3, 112, 112]))
    return network


def newer(field: str) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        network = model(ANY)
        if field == "opset":
            network.opset_import[0].version = 99
        else:
            network.ir_version = 99
        return network

    return make


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: model(ANY, others=["age"]), "2 inputs .*`age`.*; an embedder takes pictures alone"),
        (lambda: model(ANY, "int64"), "pictures are one of uint8, float16, float, double"),
        (lambda: model(["N", 3, 112, 96], side=96), "pictures of 96x112; faces are square"),
        (lambda: model(["N", 1, 112, 112], constants={"weight": GREY}), "no place for 3 colours"),
        (without_batch, r"has the shape \[3, 112, 112\]; pictures are \(N, 3, H, W\)"),
        (lambda: model(["N", 3, "H", "W"], **reshaped(-1, 7)), "not an ONNX network from chips"),
        (newer("opset"), "opset 99.* update onnxruntime"),
        (newer("ir"), "IR version 99.* update onnxruntime"),
    ],
)
def test_networks_that_cannot_be_used_say_why(
    tmp_path: Path, make: Callable[[], ModelProto], told: str
) -> None:
    with pytest.raises(ModelMismatchError, match=told):
        embedder(make(), tmp_path)


def test_an_operator_that_onnxruntime_does_not_know_is_named(tmp_path: Path) -> None:
    node = helper.make_node("Swirl", ["e"], ["k"], domain="org.example")
    network = model(ANY, nodes=[node], outputs=[("k", ["N", SIZE])])
    network.opset_import.append(helper.make_opsetid("org.example", 1))
    with pytest.raises(ModelMismatchError, match="Swirl"):
        embedder(network, tmp_path)


def test_weights_that_lie_in_another_file_are_read_and_missed(
    tmp_path: Path, chips: NDArray[np.uint8]
) -> None:
    path = tmp_path / "n.onnx"
    onnx.save(
        model(ANY),
        path,
        save_as_external_data=True,
        location="n.data",
        size_threshold=0,
        convert_attribute=False,
    )
    expected = one_by_one(saved(model(ANY), tmp_path / "whole.onnx"), chips)
    np.testing.assert_allclose(OnnxEmbedder(path, ModelInput()).embed(chips), expected, atol=1e-5)
    (tmp_path / "n.data").unlink()
    with pytest.raises(ModelMismatchError, match=r"weights in n\.data, which is not beside it"):
        OnnxEmbedder(path, ModelInput())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"just words\n" * 100, "is a text file"),
        (b"", "is an empty file"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "is a JPEG picture"),
        (b"PK\x03\x04" + bytes(100), "is a damaged ZIP archive"),
        (bytes(range(1, 200)), "is a file of an unknown kind"),
        (None, "damaged ONNX file, or cut short"),
    ],
)
def test_a_file_that_is_no_network_is_named_as_what_it_is(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = saved(model(ANY), tmp_path / "n.onnx")
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    with pytest.raises(FaceAnalysisError, match=told) as caught:
        open_embedder(path, ModelInput())
    assert str(path) in str(caught.value)


def test_a_pickled_embedder_opens_its_file_again(tmp_path: Path, chips: NDArray[np.uint8]) -> None:
    network = embedder(model(ANY), tmp_path)
    again = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(again.embed(chips), network.embed(chips))


def test_a_missing_onnxruntime_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(model(ANY), tmp_path / "n.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"n\.onnx: .*`pip install onnxruntime`.* extra `onnx`"):
        OnnxEmbedder(path, ModelInput())
