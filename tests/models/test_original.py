from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.errors import MissingFileError, ModelMismatchError, UsageError
from face_analysis.models.iresnet import IResNet
from face_analysis.models.original import read_original

STAGES = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 152: (3, 8, 36, 3)}
CHANNELS = (64, 128, 256, 512)
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def layout(depth: int, mode: str) -> dict[str, tuple[int, ...]]:
    """Key -> shape of an original backbone checkpoint, written out from its description."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        for part in NORM:
            shapes[f"{name}.{part}"] = () if part == "num_batches_tracked" else (channels,)

    shapes["input_layer.0.weight"] = (64, 3, 3, 3)
    norm("input_layer.1", 64)
    shapes["input_layer.2.weight"] = (64,)
    unit, inputs = 0, 64
    for channels, count in zip(CHANNELS, STAGES[depth], strict=True):
        for position in range(count):
            name = f"body.{unit}"
            if position == 0:
                shapes[f"{name}.shortcut_layer.0.weight"] = (channels, inputs, 1, 1)
                norm(f"{name}.shortcut_layer.1", channels)
            norm(f"{name}.res_layer.0", inputs)
            shapes[f"{name}.res_layer.1.weight"] = (channels, inputs, 3, 3)
            norm(f"{name}.res_layer.2", channels)
            shapes[f"{name}.res_layer.3.weight"] = (channels,)
            shapes[f"{name}.res_layer.4.weight"] = (channels, channels, 3, 3)
            norm(f"{name}.res_layer.5", channels)
            if mode == "ir_se":
                shapes[f"{name}.res_layer.6.fc1.weight"] = (channels // 16, channels, 1, 1)
                shapes[f"{name}.res_layer.6.fc2.weight"] = (channels, channels // 16, 1, 1)
            unit, inputs = unit + 1, channels
    norm("output_layer.0", 512)
    shapes["output_layer.3.weight"] = (512, 512 * 7 * 7)
    shapes["output_layer.3.bias"] = (512,)
    norm("output_layer.4", 512)
    return shapes


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + noise.abs()
        elif len(shape) > 1:
            state[name] = noise / (sum(shape[1:]) ** 0.5 * max(shape[2:] or (1,)))
        elif name.endswith(("bias", "running_mean")):
            state[name] = 0.1 * noise
        else:
            state[name] = 0.9 + 0.2 * noise
    return state


def straight_line(state: dict[str, Tensor], images: Tensor, depth: int, mode: str) -> Tensor:
    """The embedding by plain functional calls on the state dict."""

    def norm(x: Tensor, name: str) -> Tensor:
        weight, bias, mean, var = (state[f"{name}.{part}"] for part in NORM[:4])
        shape = (1, -1, 1, 1) if x.dim() == 4 else (1, -1)
        return (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt() * weight.view(shape) + bias.view(
            shape
        )

    x = F.conv2d(images, state["input_layer.0.weight"], padding=1)
    x = F.prelu(norm(x, "input_layer.1"), state["input_layer.2.weight"])
    firsts = {sum(STAGES[depth][:stage]) for stage in range(4)}
    for unit in range(sum(STAGES[depth])):
        name, stride = f"body.{unit}", 2 if unit in firsts else 1
        shortcut = x
        if stride == 2:
            shortcut = F.conv2d(x, state[f"{name}.shortcut_layer.0.weight"], stride=2)
            shortcut = norm(shortcut, f"{name}.shortcut_layer.1")
        y = F.conv2d(norm(x, f"{name}.res_layer.0"), state[f"{name}.res_layer.1.weight"], padding=1)
        y = F.prelu(norm(y, f"{name}.res_layer.2"), state[f"{name}.res_layer.3.weight"])
        y = F.conv2d(y, state[f"{name}.res_layer.4.weight"], stride=stride, padding=1)
        y = norm(y, f"{name}.res_layer.5")
        if mode == "ir_se":
            gate = F.adaptive_avg_pool2d(y, 1)
            gate = F.relu(F.conv2d(gate, state[f"{name}.res_layer.6.fc1.weight"]))
            y = y * torch.sigmoid(F.conv2d(gate, state[f"{name}.res_layer.6.fc2.weight"]))
        x = y + shortcut
    x = norm(x, "output_layer.0").flatten(1)
    x = F.linear(x, state["output_layer.3.weight"], state["output_layer.3.bias"])
    x = norm(x, "output_layer.4")
    return x / x.square().sum(1, keepdim=True).sqrt()


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, Tensor]]:
    return {mode: random_state(layout(50, mode)) for mode in ("ir", "ir_se")}


def write_pair(
    folder: Path, state: dict[str, Tensor], head: dict[str, Tensor], prefix: str = "", **options: bool
) -> Path:
    path = folder / "model_2020-01-02-03:04_accuracy:0.91_step:8_x.pth"
    torch.save({prefix + name: tensor for name, tensor in state.items()}, path, **options)
    beside = folder / path.name.replace("model_", "head_")
    torch.save({prefix + name: tensor for name, tensor in head.items()}, beside, **options)
    return path


def head_state(outputs: int) -> dict[str, Tensor]:
    return random_state({"fc1.weight": (outputs, 512), "fc1.bias": (outputs,)}, seed=1)


@pytest.mark.parametrize(
    ("mode", "prefix", "outputs", "attribute"),
    [("ir_se", "module.", 5, "race"), ("ir_se", "", 100, "age"), ("ir", "", 2, "gender")],
)
def test_imported_checkpoint_computes_what_its_tensors_say(
    tmp_path: Path,
    states: dict[str, dict[str, Tensor]],
    mode: str,
    prefix: str,
    outputs: int,
    attribute: str,
) -> None:
    state, head = states[mode], head_state(outputs)
    path = write_pair(tmp_path, state, head, prefix, _use_new_zipfile_serialization=mode == "ir_se")
    network, card = read_original(path, mode=mode)
    corners = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(2)) * 2 - 1
    images = F.interpolate(corners, size=112, mode="bilinear")
    with torch.inference_mode():
        embeddings = straight_line(state, images, 50, mode)
        assert (embeddings[0] @ embeddings[1]) < 0.9999, "the images must not fall together"
        torch.testing.assert_close(network.backbone(images), embeddings, atol=1e-5, rtol=0)
        logits = embeddings @ head["fc1.weight"].T + head["fc1.bias"]
        torch.testing.assert_close(network(images), {attribute: logits}, atol=1e-4, rtol=0)
    assert card.tasks == (attribute,)
    assert card.training_data == f"unknown (imported from {path.name})"
    assert not network.training
    for name, tensor in state.items():
        assert torch.equal(network.backbone.state_dict()[name], tensor), name


@pytest.mark.parametrize("depth", [50, 100, 152])
@pytest.mark.parametrize("mode", ["ir", "ir_se"])
def test_keys_and_shapes_are_those_of_the_original(depth: int, mode: str) -> None:
    with torch.device("meta"):
        network = IResNet(depth, mode)
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == layout(depth, mode)


def test_batch_counts_may_be_absent(tmp_path: Path, states: dict[str, dict[str, Tensor]]) -> None:
    state = {name: tensor for name, tensor in states["ir"].items() if "num_batches" not in name}
    network, _ = read_original(write_pair(tmp_path, state, head_state(2)), mode="ir")
    assert torch.equal(
        network.backbone.state_dict()["body.3.res_layer.0.weight"], state["body.3.res_layer.0.weight"]
    )


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_keys_that_do_not_fit_are_named(
    tmp_path: Path, states: dict[str, dict[str, Tensor]], change: str
) -> None:
    state = dict(states["ir"])
    name = "body.5.res_layer.4.weight"
    if change == "missing":
        del state[name]
    elif change == "extra":
        name = "body.5.res_layer.9.weight"
        state[name] = torch.zeros(3)
    else:
        state[name] = torch.zeros(128, 128, 1, 1)
    with pytest.raises(ModelMismatchError, match=name.replace(".", r"\.")):
        read_original(write_pair(tmp_path, state, head_state(2)), mode="ir")


def test_depth_and_mode_are_suggested_from_the_keys(
    tmp_path: Path, states: dict[str, dict[str, Tensor]]
) -> None:
    path = write_pair(tmp_path, states["ir"], head_state(5))
    with pytest.raises(ModelMismatchError, match="depth 50 and net_mode ir: give these"):
        read_original(path, depth=100, mode="ir_se")


@pytest.mark.parametrize(
    ("head", "attribute", "message"),
    [
        (head_state(5), "gender", "predicts race, not gender"),
        (head_state(7), None, "7 outputs"),
        ({"W": torch.zeros(10, 512)}, None, "recognition"),
        ({"fc2.weight": torch.zeros(5, 512)}, None, "not a head"),
    ],
)
def test_heads_that_do_not_fit_are_refused(
    tmp_path: Path, head: dict[str, Tensor], attribute: str | None, message: str
) -> None:
    path = write_pair(tmp_path, {}, head)
    with pytest.raises(ModelMismatchError, match=message):
        read_original(path, attribute=attribute)  # type: ignore[arg-type]


def test_head_of_another_embedding_size_is_refused(
    tmp_path: Path, states: dict[str, dict[str, Tensor]]
) -> None:
    head = {"fc1.weight": torch.zeros(5, 128), "fc1.bias": torch.zeros(5)}
    with pytest.raises(ModelMismatchError, match=r"head_.*512"):
        read_original(write_pair(tmp_path, states["ir"], head), mode="ir")


def test_missing_head_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model_a.pth"
    torch.save({}, path)
    with pytest.raises(MissingFileError, match=r"head_a\.pth"):
        read_original(path)
    with pytest.raises(UsageError, match="model_"):
        read_original(tmp_path / "weights.pth")


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "head_a.pth"
    if zipped:
        torch.save({"fc1.weight": Hostile(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(Hostile(marker)))
    with pytest.raises(ModelMismatchError, match="head_a"):
        read_original(tmp_path / "model_a.pth", head_path=path)
    assert not marker.exists()
    if not zipped:
        pickle.loads(path.read_bytes())
        assert marker.exists(), "the file must be one that does harm when unpickled freely"


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = write_pair(tmp_path, {}, head_state(5))
    head = path.with_name(path.name.replace("model_", "head_"))
    head.write_bytes(head.read_bytes()[:-500])
    with pytest.raises(ModelMismatchError, match="damaged"):
        read_original(path)
