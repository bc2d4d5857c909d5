from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from face_analysis.errors import ModelMismatchError, UsageError
from face_analysis.models.age_heads import AGE_HEADS
from face_analysis.models.attributes import AttributeNetwork, SharedWeights
from face_analysis.models.weights import load_attributes, save_model
from face_analysis.zoo.card import AgeLossName, BackboneConfig, ModelCard
from face_analysis.zoo.find import find

SMALL = BackboneConfig("iresnet", 18, "ir_se", width=0.125, embedding_size=32)


def saved(folder: Path, age_loss: AgeLossName) -> tuple[Path, AttributeNetwork]:
    network = AttributeNetwork(SMALL, ("gender", "age"), age_loss).eval()
    path = folder / "age.safetensors"
    save_model(path, network, ModelCard("age", ("gender", "age"), SMALL, age_loss=age_loss))
    return path, network


def test_the_tasks_of_coral_share_one_vector_of_weights() -> None:
    head = SharedWeights(16, 100)
    with torch.no_grad():
        head.bias.copy_(torch.linspace(3, -3, 100))
    embeddings = torch.randn(5, 16)
    found = head(embeddings).tolist()
    weights, biases = head.weight[0].tolist(), head.bias.tolist()
    for row, logits in zip(embeddings.tolist(), found, strict=True):
        product = sum(x * w for x, w in zip(row, weights, strict=True))
        assert logits == pytest.approx([product + bias for bias in biases], abs=1e-5)
    assert sum(parameter.numel() for parameter in head.parameters()) == 16 + 100


@pytest.mark.parametrize("age_loss", sorted(AGE_HEADS))
def test_a_model_comes_back_with_its_age_loss_and_outputs(tmp_path: Path, age_loss: AgeLossName) -> None:
    path, network = saved(tmp_path, age_loss)
    loaded = load_attributes(path)
    images = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        logits = loaded.network(images)["age"]
        assert torch.equal(logits, network(images)["age"])
    assert logits.shape == (2, AGE_HEADS[age_loss].outputs)
    assert loaded.card.age_loss == loaded.network.age_loss == age_loss


def test_a_card_that_says_nothing_of_it_is_of_the_binary_tasks(tmp_path: Path) -> None:
    path, _ = saved(tmp_path, "ordinal")
    card = load_attributes(path).card
    values = json.loads(card.to_json())
    assert values.pop("age_loss") == "ordinal"
    save_file(load_file(path), path, {"card": json.dumps(values)})
    assert load_attributes(path).card == card
    assert load_attributes(find("attributes")).network.age_loss == "ordinal"


@pytest.mark.parametrize("age_loss", ["other", ["ordinal"], None])
def test_an_age_loss_that_is_not_known_is_refused(tmp_path: Path, age_loss: object) -> None:
    path, _ = saved(tmp_path, "ordinal")
    values = json.loads(load_attributes(path).card.to_json()) | {"age_loss": age_loss}
    save_file(load_file(path), path, {"card": json.dumps(values)})
    with pytest.raises(ModelMismatchError, match="not known"):
        load_attributes(path)
    with pytest.raises(UsageError, match="ordinal, pairs, coral"):
        AttributeNetwork(SMALL, ("age",), "other")  # type: ignore[arg-type]


def test_a_card_of_another_loss_does_not_fit_the_network(tmp_path: Path) -> None:
    _, network = saved(tmp_path, "coral")
    card = ModelCard("age", ("gender", "age"), SMALL, age_loss="coral")
    with pytest.raises(ModelMismatchError, match=r"heads\.age"):
        save_model(tmp_path / "b.safetensors", network, replace(card, age_loss="dex"))
