from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from face_analysis.errors import MissingFileError, ModelMismatchError
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.models.pretrained import load_pretrained, load_pretrained_backbone
from face_analysis.models.weights import save_model
from face_analysis.zoo.card import BackboneConfig, ModelCard, recognition_card

SMALL = BackboneConfig("iresnet", 18, "ir", width=0.125, embedding_size=32)


def attributes() -> AttributeNetwork:
    return AttributeNetwork(SMALL, ("race", "age"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, tuple[Path, dict[str, Tensor]]]:
    """A file of each kind, with the tensors of its backbone."""
    torch.manual_seed(0)
    joint, bare, original = attributes(), build_backbone(SMALL), build_backbone(SMALL)
    save_model(tmp_path / "a.safetensors", joint, ModelCard("a", ("race", "age"), SMALL))
    save_model(tmp_path / "r.safetensors", bare, recognition_card("r", SMALL))
    named = {f"module.{name}": tensor for name, tensor in original.state_dict().items()}
    torch.save({name: tensor for name, tensor in named.items() if "batches" not in name}, tmp_path / "m.pth")
    return {
        "attributes": (tmp_path / "a.safetensors", joint.backbone.state_dict()),
        "recognition": (tmp_path / "r.safetensors", bare.state_dict()),
        "original": (tmp_path / "m.pth", original.state_dict()),
    }


def same(module: nn.Module, tensors: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, tensors[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("kind", ["attributes", "recognition", "original"])
def test_a_backbone_of_any_file_fills_either_kind_of_network(
    files: dict[str, tuple[Path, dict[str, Tensor]]], kind: str
) -> None:
    path, tensors = files[kind]
    bare, joint = build_backbone(SMALL), AttributeNetwork(SMALL, ("gender", "age"))
    before = {name: tensor.clone() for name, tensor in joint.heads.state_dict().items()}
    load_pretrained_backbone(bare, path)
    assert load_pretrained(joint, path) == (("age",) if kind == "attributes" else ())
    assert same(bare, tensors)
    assert same(joint.backbone, tensors)
    changed = {
        name for name, tensor in joint.heads.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == ({"age.weight"} if kind == "attributes" else set())


@pytest.mark.parametrize("kind", ["attributes", "recognition", "original"])
def test_another_backbone_is_told_the_options_and_left_as_it_was(
    files: dict[str, tuple[Path, dict[str, Tensor]]], kind: str
) -> None:
    network = build_backbone(replace(SMALL, mode="ir_se"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ModelMismatchError, match=r"res_layer\.6\.fc1.*give the --backbone, --depth"):
        load_pretrained_backbone(network, files[kind][0])
    assert same(network, before)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("no.safetensors", "no.pth", "no.onnx"):
        with pytest.raises(MissingFileError, match=name):
            load_pretrained_backbone(build_backbone(SMALL), tmp_path / name)


def test_the_head_beside_an_original_backbone_is_taken_where_it_fits(tmp_path: Path) -> None:
    path = tmp_path / "model_2020_accuracy:0.9_step:8.pth"
    torch.save(build_backbone(SMALL).state_dict(), path)
    for outputs, size, taken in (
        (5, 32, ("race",)),
        (2, 32, ()),
        (7, 32, ()),
        (100, 32, ("age",)),
        (5, 64, ()),
    ):
        head = nn.Linear(size, outputs)
        named = {f"module.fc1.{name}": tensor for name, tensor in head.state_dict().items()}
        torch.save(named, tmp_path / "head_2020_accuracy:0.9_step:8.pth")
        network = attributes()
        assert load_pretrained(network, path) == taken, (outputs, size)
        for name in taken:
            assert same(network.heads[name], head.state_dict())
    torch.save({"W": torch.zeros(9, 32)}, tmp_path / "head_2020_accuracy:0.9_step:8.pth")
    assert load_pretrained(attributes(), path) == ()
