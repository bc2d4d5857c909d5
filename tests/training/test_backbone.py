from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._inductor import config

from face_analysis.errors import UsageError
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.iresnet import ResidualUnit
from face_analysis.models.layers import Backbone
from face_analysis.training.backbone import compile_body, freeze_first_units, require_compiler
from face_analysis.training.optimiser import optimiser_of
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.tasks.attributes import AttributeTask
from face_analysis.zoo.card import BackboneConfig
from tests.training.runs import same, saved, saved_weights

MakeOptions = Callable[..., TrainOptions]

STEMS = {"iresnet": "input_layer", "mobilefacenet": "stem", "mobilenet": "stem"}
UNITS = {"iresnet": 8, "mobilefacenet": 15, "mobilenet": 13}


def backbone_config(name: str) -> BackboneConfig:
    return BackboneConfig(name, 18, "ir_se", width=0.125, embedding_size=32)  # type: ignore[arg-type]


def task_of(name: str, units: int) -> AttributeTask:
    torch.manual_seed(0)
    network = AttributeNetwork(backbone_config(name), ("age",))
    options = TrainOptions(("age",), freeze=units, lr=0.1, lr_plateau=True)
    return AttributeTask(network, {}, options, str, 1)


def learn(task: AttributeTask, steps: int) -> None:
    """Steps of SGD as the loop takes them, with the module in training mode."""
    optimiser = optimiser_of(task.groups(), task.options)
    task.train()
    for step in range(steps):
        images = torch.randn(4, 3, 112, 112, generator=torch.Generator().manual_seed(step))
        (100 * task.network(images)["age"].sum()).backward()  # enough for every weight to move
        optimiser.step()
        optimiser.zero_grad()


@pytest.mark.parametrize("name", list(STEMS))
@pytest.mark.parametrize("units", [0, 2])
@pytest.mark.usefixtures("full_size")
def test_frozen_layers_keep_weights_and_averages_while_all_others_move(name: str, units: int) -> None:
    task = task_of(name, units)
    before = {key: tensor.clone() for key, tensor in task.network.state_dict().items()}
    learn(task, 3)
    places = (f"backbone.{STEMS[name]}.", *(f"backbone.body.{unit}." for unit in range(units)))
    moved = {key for key, tensor in task.network.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved == {key for key in before if not key.startswith(places)}
    assert any(key.endswith("running_mean") for key in before if key.startswith(places))


@pytest.mark.parametrize("name", list(STEMS))
@pytest.mark.usefixtures("full_size")
def test_frozen_layers_stay_in_eval_mode_when_training_begins_again(name: str) -> None:
    task = task_of(name, 1)
    task.eval()
    task.train()
    backbone = task.network.backbone
    frozen = {
        id(module) for part in (STEMS[name], "body.0") for module in backbone.get_submodule(part).modules()
    }
    assert {id(module) for module in backbone.modules() if not module.training} == frozen
    assert task.eval().network.backbone.get_submodule("body.1").training is False


@pytest.mark.usefixtures("full_size")
def test_without_freezing_everything_learns() -> None:
    network = AttributeNetwork(backbone_config("mobilenet"), ("race",))
    assert freeze_first_units(network.backbone, -1) == []
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("name", list(STEMS))
@pytest.mark.usefixtures("full_size")
def test_all_units_can_be_frozen_and_no_more(name: str) -> None:
    backbone: nn.Module = AttributeNetwork(backbone_config(name), ("race",)).backbone
    assert len(freeze_first_units(backbone, UNITS[name])) == UNITS[name] + 1
    assert not any(parameter.requires_grad for parameter in backbone.get_submodule("body").parameters())
    with pytest.raises(UsageError, match=f"--freeze {UNITS[name] + 1}: the backbone has {UNITS[name]} units"):
        freeze_first_units(backbone, UNITS[name] + 1)


@pytest.mark.usefixtures("full_size")
def test_a_run_with_too_many_frozen_units_ends_before_its_first_step(options: MakeOptions) -> None:
    with pytest.raises(UsageError, match="--freeze 9: the backbone has 8 units"):
        train(options(freeze=9))


@pytest.mark.parametrize("backbone", ["iresnet", "mobilefacenet", "mobilenet"])
@pytest.mark.parametrize("changes", [{}, {"freeze": 2}, {"precision": "bf16-mixed"}])
@pytest.mark.usefixtures("full_size")
def test_a_run_whose_units_are_computed_again_learns_the_same_to_the_last_bit(
    options: MakeOptions, few: Path, tmp_path: Path, backbone: str, changes: dict[str, object]
) -> None:
    listed = tmp_path / "eight.txt"
    listed.write_text("".join(few.read_text().splitlines(keepends=True)[:8]))
    given = {"backbone": backbone, "epochs": 1, "batch_size": 4, "train_list": listed, **changes}
    train(options(val_list=(str(listed),), **given))
    train(options(val_list=(str(listed),), checkpointing=True, output=tmp_path / "again", **given))
    runs = (tmp_path / "run", tmp_path / "again")
    first, again = ((run / "metrics.csv").read_bytes() for run in runs)
    assert again == first
    first_weights, weights = (saved(run)["state_dict"] for run in runs)
    assert same(weights, first_weights)


def test_recognition_too(recognition: MakeOptions, tmp_path: Path) -> None:
    train(recognition(epochs=1))
    train(recognition(epochs=1, checkpointing=True, output=tmp_path / "again"))
    first, again = ((tmp_path / run / "metrics.csv").read_bytes() for run in ("run", "again"))
    assert again == first


def test_what_is_computed_again_is_not_compiled(options: MakeOptions) -> None:
    with pytest.raises(UsageError, match="--compile and --checkpointing"):
        train(options(compile=True, checkpointing=True))


class OneUnit(Backbone):
    """The smallest backbone there is to compile."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(ResidualUnit(16, 16, 2, squeeze=True))

    def raw(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images)
        return features.mean((2, 3))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of what was compiled before."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_a_compiled_body_computes_and_learns_the_same() -> None:
    torch.manual_seed(0)
    plain, compiled = OneUnit(), OneUnit()
    compiled.load_state_dict(plain.state_dict())
    require_compiler("cpu")
    compile_body(compiled)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    assert compiled.body._compiled_call_impl is not None
    images = torch.randn(4, 16, 8, 8).contiguous(memory_format=torch.channels_last)
    for count in (4, 3):
        found, expected = compiled.raw(images[:count]), plain.raw(images[:count])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        found.square().sum().backward()
        expected.square().sum().backward()
    for one, other in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("own_cache")
def test_without_a_compiler_nothing_is_written(
    options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config.cpp, "cxx", (str(tmp_path / "no-compiler"),))
    with pytest.raises(
        UsageError, match=r"--compile: torch cannot compile here \(.*install a C\+\+ compiler"
    ):
        train(options(compile=True))
    assert not (tmp_path / "run").exists()


def test_a_run_leaves_the_averages_of_frozen_batch_norms_as_they_were(
    options: MakeOptions, tmp_path: Path
) -> None:
    train(options(freeze=1))
    means = {name: mean for name, mean in saved_weights(tmp_path / "run").items() if "running_mean" in name}
    frozen = tuple(f"network.backbone.{part}." for part in ("input_layer", "body.0"))
    moved = {name for name, mean in means.items() if mean.any()}
    assert moved == {name for name in means if not name.startswith(frozen)}
    assert moved != set(means)
