from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from face_analysis.errors import MissingFileError, ModelMismatchError, WriteError
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import Backbone
from face_analysis.models.weights import load_attributes, load_model, load_recognition, save_model
from face_analysis.zoo.card import BackboneConfig, ModelCard, recognition_card

SMALL = BackboneConfig("iresnet", 18, "ir_se", width=0.125, embedding_size=32)


def small_model() -> tuple[AttributeNetwork, ModelCard]:
    torch.manual_seed(0)
    network = AttributeNetwork(SMALL, ("gender", "age"))
    with torch.no_grad():
        network(torch.randn(4, 3, 112, 112))
    return network, ModelCard(
        name="small", tasks=("gender", "age"), backbone=SMALL, training_data="none", metrics={"a": {"b": 1.5}}
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    network, card = small_model()
    path = tmp_path / "race.safetensors"
    save_model(path, network, card)
    return path


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, name="mobilefacenet", width=0.25)])
def test_saved_network_comes_back_with_identical_outputs(tmp_path: Path, config: BackboneConfig) -> None:
    network, card = small_model()
    network = AttributeNetwork(config, ("gender", "age"))
    images = torch.randn(2, 3, 112, 112)
    network(images)
    network.eval().to(memory_format=torch.channels_last)
    path = tmp_path / "model.safetensors"
    written = save_model(path, network, replace(card, backbone=config))
    loaded = load_attributes(path, tasks=["age"])
    state, before = loaded.network.state_dict(), network.state_dict()
    assert all(torch.equal(state[name], before[name]) for name in before)
    assert loaded.card == written == replace(card, backbone=config, sha256=written.sha256)
    assert not loaded.network.training
    plain = network.to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        for name, logits in plain(images).items():
            assert torch.equal(loaded.network(images)[name], logits)
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.fixture
def recognition(tmp_path: Path) -> tuple[Path, Backbone]:
    torch.manual_seed(0)
    backbone = build_backbone(SMALL)
    with torch.no_grad():
        backbone(torch.randn(4, 3, 112, 112))
    path = tmp_path / "faces.safetensors"
    save_model(path, backbone, recognition_card("faces", SMALL, licence="MIT", metrics={"lfw": {"value": 1}}))
    return path, backbone.eval()


def test_saved_backbone_comes_back_with_identical_embeddings(recognition: tuple[Path, Backbone]) -> None:
    path, backbone = recognition
    loaded = load_recognition(path)
    images = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        assert torch.equal(loaded.network(images), backbone(images))
    assert not loaded.network.training
    assert (loaded.card.tasks, loaded.card.labels) == (("recognition",), {})
    assert (loaded.card.licence, loaded.card.metrics) == ("MIT", {"lfw": {"value": 1}})
    assert "recognition" in loaded.card.intended_use
    assert load_model(path).card == loaded.card


def test_a_model_of_another_kind_is_refused_with_the_command_that_takes_it(
    saved: Path, recognition: tuple[Path, Backbone]
) -> None:
    with pytest.raises(
        ModelMismatchError, match="of recognition and predicts no attribute: give it to `extract`"
    ):
        load_attributes(recognition[0])
    with pytest.raises(ModelMismatchError, match=r"predicts gender and age .* give it to `predict`"):
        load_recognition(saved)


@pytest.mark.parametrize("tasks", [("recognition", "race"), (), ("recognition", "recognition")])
def test_a_card_of_recognition_and_more_is_refused(
    recognition: tuple[Path, Backbone], tasks: tuple[str, ...]
) -> None:
    path, backbone = recognition
    card = replace(load_model(path).card, tasks=tasks)
    with pytest.raises(ModelMismatchError, match="race, gender, age"):
        save_model(path.with_name("other.safetensors"), backbone, card)
    save_file(load_file(path), path, {"card": card.to_json()})
    with pytest.raises(ModelMismatchError, match="race, gender, age"):
        load_model(path)


@pytest.mark.parametrize("config", [replace(SMALL, mode="ir"), replace(SMALL, width=0.25)], ids=str)
def test_backbone_of_another_card_is_not_saved(
    tmp_path: Path, recognition: tuple[Path, Backbone], config: BackboneConfig
) -> None:
    with pytest.raises(ModelMismatchError, match="another network"):
        save_model(tmp_path / "other.safetensors", recognition[1], recognition_card("other", config))
    assert not (tmp_path / "other.safetensors").exists()


def test_loaded_network_can_be_trained_on(saved: Path) -> None:
    network = load_model(saved).network.train()
    network(torch.randn(2, 3, 112, 112))["age"].sum().backward()
    assert all(
        parameter.grad is not None for name, parameter in network.named_parameters() if "gender" not in name
    )


def test_loading_leaves_the_random_state_alone(saved: Path) -> None:
    before = torch.get_rng_state()
    load_model(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_hash_covers_name_type_shape_and_bytes(saved: Path) -> None:
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(saved).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    assert load_model(saved).card.sha256 == digest.hexdigest()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="nowhere"):
        load_model(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 300, -1])
def test_file_cut_short_is_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(ModelMismatchError, match=r"cut short|an empty file"):
        load_model(saved)


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_one_flipped_bit_in_the_tensors_is_refused(saved: Path, place: float) -> None:
    content = bytearray(saved.read_bytes())
    start = 8 + struct.unpack("<Q", content[:8])[0]
    content[start + int(place * (len(content) - start - 1))] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ModelMismatchError, match="SHA-256"):
        load_model(saved)


def test_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model_x.pth"
    torch.save({"fc1.weight": torch.zeros(3)}, path)
    with pytest.raises(ModelMismatchError, match=r"checkpoint of torch.*models import"):
        load_model(path)


def test_foreign_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path, {"format": "pt"})
    with pytest.raises(ModelMismatchError, match="no model card"):
        load_model(path)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("depth", 34, "do not fit"),
        ("width", 0.25, "do not fit"),
        ("depth", 51, "18, 34, 50"),
        ("width", "wide", "width"),
        ("name", "vgg", "mobilefacenet"),
    ],
)
def test_card_of_another_network_is_refused(saved: Path, part: str, value: object, message: str) -> None:
    card = json.loads(load_model(saved).card.to_json())
    card["backbone"][part] = value
    save_file(load_file(saved), saved, {"card": json.dumps(card)})
    with pytest.raises(ModelMismatchError, match=message):
        load_model(saved)


def test_wrong_task_is_refused_with_the_option_to_use(saved: Path) -> None:
    with pytest.raises(ModelMismatchError) as error:
        load_attributes(saved, tasks=["race"])
    assert str(error.value) == (
        "race.safetensors predicts gender and age, not race: give it with --gender_model or --age_model"
    )


def test_card_that_describes_another_network_is_not_saved(tmp_path: Path) -> None:
    network, card = small_model()
    with pytest.raises(ModelMismatchError, match="another network"):
        save_model(tmp_path / "a.safetensors", network, replace(card, tasks=("race",)))
    assert not list(tmp_path.iterdir())


def test_failed_write_keeps_the_old_file_and_leaves_nothing(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, card = small_model()
    old = saved.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteError, match="No space left"):
        save_model(saved, network, card)
    assert saved.read_bytes() == old
    assert [file.name for file in saved.parent.iterdir()] == [saved.name]


def test_a_place_that_is_no_folder_is_a_write_error(tmp_path: Path) -> None:
    network, card = small_model()
    (tmp_path / "no").write_text("a file")
    with pytest.raises(WriteError, match="cannot write"):
        save_model(tmp_path / "no" / "a.safetensors", network, card)
