"""What moves the weights, against torch's own and plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from face_analysis.errors import ModelMismatchError, UsageError
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.training import loop
from face_analysis.training.optimiser import backbone_groups, optimiser_of
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.zoo.card import BackboneConfig
from tests.training.runs import losses, same, saved

MakeOptions = Callable[..., TrainOptions]
BACKBONES = {"iresnet": ("input_layer", 8), "mobilefacenet": ("stem", 15), "mobilenet": ("stem", 13)}


def network_of(name: str) -> AttributeNetwork:
    return AttributeNetwork(
        BackboneConfig(name, 18, "ir_se", width=0.125, embedding_size=32),  # type: ignore[arg-type]
        ("race", "age"),
    )


@pytest.mark.parametrize("name", list(BACKBONES))
@pytest.mark.usefixtures("full_size")
def test_the_rate_falls_by_the_same_factor_from_each_layer_to_the_one_before(name: str) -> None:
    backbone = network_of(name).backbone
    options = TrainOptions(("age",), lr=0.8, layer_decay=0.5)
    rates = {
        id(parameter): group["lr"]
        for group in backbone_groups(backbone, options)
        for parameter in group["params"]
    }
    stem, units = BACKBONES[name]
    for path, parameter in backbone.named_parameters():
        first, second = path.split(".")[:2]
        behind = units + 1 if first == stem else units - int(second) if first == "body" else 0
        assert rates.pop(id(parameter)) == 0.8 * 0.5**behind, path
    assert not rates
    assert backbone_groups(backbone, options)[0]["lr"] == 0.8


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
@pytest.mark.usefixtures("full_size")
def test_batch_norms_of_the_backbone_alone_are_not_decayed(layer_decay: float) -> None:
    backbone = network_of("iresnet").backbone
    groups = backbone_groups(backbone, TrainOptions(("age",), weight_decay=0.1, layer_decay=layer_decay))
    decayed = {id(parameter) for group in groups if group["weight_decay"] for parameter in group["params"]}
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    for module in backbone.modules():
        for parameter in module.parameters(recurse=False):
            assert (id(parameter) in decayed) != isinstance(module, norms)


def test_adamw_moves_weights_as_its_paper_does() -> None:
    """Loshchilov and Hutter 2019, algorithm 2, number by number in float64."""
    weight = torch.nn.Parameter(torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64))
    options = TrainOptions(("age",), optimizer="adamw", lr=0.01, weight_decay=0.1, lr_plateau=True)
    optimiser = optimiser_of([{"params": [weight], "weight_decay": 0.1}], options)
    expected, first, second = weight.tolist(), [0.0] * 3, [0.0] * 3
    for step in range(1, 8):
        optimiser.zero_grad()
        (weight**2).sum().backward()
        optimiser.step()
        for place, value in enumerate(expected):
            gradient = 2 * value
            first[place] = 0.9 * first[place] + 0.1 * gradient
            second[place] = 0.999 * second[place] + 0.001 * gradient**2
            moved = (first[place] / (1 - 0.9**step)) / (math.sqrt(second[place] / (1 - 0.999**step)) + 1e-8)
            expected[place] = value - 0.01 * 0.1 * value - 0.01 * moved
        assert weight.tolist() == pytest.approx(expected, rel=1e-9)


def test_clipping_shortens_the_gradient_of_all_weights_together(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[tuple[float, float]] = []
    clip = loop.clip_grad_norm_

    def length(weights: list[torch.nn.Parameter]) -> float:
        squares = [float((p.grad.double() ** 2).sum()) for p in weights if p.grad is not None]
        return math.sqrt(math.fsum(squares))

    def watched(weights: list[torch.nn.Parameter], largest: float) -> None:
        before = length(weights)
        clip(weights, largest)
        lengths.append((before, length(weights)))

    monkeypatch.setattr(loop, "clip_grad_norm_", watched)
    train(options(epochs=1, clip=0.2))
    assert len(lengths) == 4
    assert any(before > 0.2 for before, _ in lengths)
    assert [after for _, after in lengths] == pytest.approx(
        [min(before, 0.2) for before, _ in lengths], rel=1e-4
    )


@pytest.mark.parametrize("task", ["attributes", "recognition"])
@pytest.mark.parametrize("changes", [{"optimizer": "adamw", "lr": 0.001}, {"clip": 0.5, "layer_decay": 0.8}])
def test_a_resumed_run_ends_as_an_undisturbed_one(
    options: MakeOptions, recognition: MakeOptions, tmp_path: Path, task: str, changes: dict[str, object]
) -> None:
    make = options if task == "attributes" else recognition
    train(make(output=tmp_path / "whole", **changes))
    train(make(epochs=1, **changes))
    train(make(resume=tmp_path / "run", **changes))
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert same(saved(tmp_path / "run")["state_dict"], saved(tmp_path / "whole")["state_dict"])
    assert losses(tmp_path / "run")[-1] != losses(tmp_path / "run")[0]


def test_another_optimiser_cannot_take_up_a_run(options: MakeOptions, tmp_path: Path) -> None:
    train(options(epochs=1))
    for changes, message in (
        ({"optimizer": "adamw"}, "optimizer sgd"),
        ({"layer_decay": 0.5}, "layer_decay"),
    ):
        with pytest.raises(ModelMismatchError, match=message):
            train(options(resume=tmp_path / "run", **changes))


@pytest.mark.parametrize(
    "changes", [{"clip": -1.0}, {"layer_decay": 0.0}, {"layer_decay": 1.1}, {"mixup": -0.1}]
)
def test_values_out_of_range_are_refused(options: MakeOptions, changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(changes))}"):
        train(options(**changes))
