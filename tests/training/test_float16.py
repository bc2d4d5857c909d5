"""The gradient scaler of float16, on the CPU: what it scales comes back, and an overflow moves nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

from face_analysis.distributed import rank
from face_analysis.training import loop
from face_analysis.training.fabric import count_overflow_once
from face_analysis.training.loop import TrainingLoop
from face_analysis.training.optimiser import optimiser_of
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.tasks.partial_fc import ClassWeights
from tests.training.processes import together
from tests.training.runs import same, saved, saved_weights

MakeOptions = Callable[..., TrainOptions]
CLASSES, SIZE = 23, 8


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("rate", [1.0, 0.5])
@pytest.mark.parametrize("overflow", [0.0, 1.0])
def test_class_weights_and_momenta_move_but_for_an_overflow(rate: float, parts: int, overflow: float) -> None:
    classes, plain = (ClassWeights(CLASSES, SIZE, rate=rate, seed=2) for _ in range(2))
    first = classes.weights.clone()
    for step in range(3):
        for part in range(parts):
            generator = torch.Generator().manual_seed(parts * step + part)
            labels = torch.randint(CLASSES, (4,), generator=generator)
            values = torch.randn(CLASSES, 1, SIZE, generator=generator)
            for each in (classes, plain):
                sample, _ = each.sample(labels, step)
                (sample.weights * values[: len(sample.weights)]).sum().backward()
        classes.used[0].grad[0] *= torch.inf if overflow else 1  # type: ignore[index]
        classes.update(0.3, 0.9, 0.01, torch.tensor(overflow))
        plain.update(0.3, 0.9, 0.01)
    if overflow:
        assert torch.equal(classes.weights, first)
        assert not classes.momenta.any()
    else:
        assert torch.equal(classes.weights, plain.weights)
        assert torch.equal(classes.momenta, plain.momenta)


def scaled_step(processes: list[int]) -> dict[str, Tensor]:
    """A step in which these processes have an overflow."""
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = optimiser_of([{"params": [weight]}], TrainOptions(("age",), lr=0.1, weight_decay=0.0))
    optimiser.register_step_pre_hook(count_overflow_once)
    scaler = ShardedGradScaler("cpu", init_scale=8.0, process_group=dist.group.WORLD)
    scaler.scale(weight.sum()).backward()
    assert weight.grad is not None
    weight.grad[0] *= torch.inf if rank() in processes else 1
    scaler.unscale_(optimiser)
    scaler.step(optimiser)
    scaler.update()
    return {"weight": weight.detach(), "scale": torch.tensor(scaler.get_scale())}


def scaled_steps() -> list[dict[str, Tensor]]:
    return [scaled_step(processes) for processes in ([], [1], [0, 1])]


@pytest.mark.slow
def test_an_overflow_in_one_or_several_processes_leaves_out_the_step_of_all(tmp_path: Path) -> None:
    for none, one, both in together(scaled_steps, 2, tmp_path):
        assert none["weight"].tolist() == pytest.approx([0.9] * 3)
        assert float(none["scale"]) == 8
        for found in (one, both):
            assert found["weight"].tolist() == [1, 1, 1]
            assert float(found["scale"]) == 4


class Scaled(MixedPrecision):
    """A scaler over passes in float32, in which a power of two changes no digit."""

    def forward_context(self) -> AbstractContextManager[None]:
        return nullcontext()


def scale_by(patch: pytest.MonkeyPatch, first: float, interval: int = 2000) -> None:
    """Lets the runs of a test scale their gradients, from this scale on."""

    def fabric(*_: object) -> Fabric:
        scaler = torch.amp.GradScaler("cpu", init_scale=first, growth_interval=interval)
        return Fabric(accelerator="cpu", devices=1, plugins=[Scaled("16-mixed", "cpu", scaler)])

    patch.setattr(loop, "fabric_of", fabric)


CHANGES: list[dict[str, object]] = [
    {},
    {"clip": 0.5, "optimizer": "adamw"},
    {"clip": 0.5, "accumulate": 3},
]


@pytest.fixture(params=["attributes", "recognition", "sampled"])
def make(request: pytest.FixtureRequest, options: MakeOptions, recognition: MakeOptions) -> MakeOptions:
    """Options of each task."""
    if request.param == "attributes":
        return options
    rate = 0.5 if request.param == "sampled" else 1.0
    return lambda **changes: recognition(**{"sample_rate": rate, **changes})


@pytest.mark.parametrize("changes", CHANGES)
def test_a_scaled_run_is_the_one_that_is_not(
    make: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    train(make(**changes, output=tmp_path / "plain"))
    scale_by(monkeypatch, 4096.0, interval=3)
    train(make(**changes))
    assert same(saved_weights(tmp_path / "run"), saved_weights(tmp_path / "plain"))
    assert saved(tmp_path / "run")["scaler"]["scale"] > 4096.0


def everything(run: TrainingLoop) -> dict[str, Tensor]:
    """Copies of all that a step moves: weights, those of classes, and what the optimiser keeps."""
    kept = {
        f"{number} {name}": value
        for number, state in enumerate(run.optimiser.state.values())
        for name, value in state.items()
    }
    moving = {**dict(run.task.named_parameters()), **kept, **run.task.extra_state().get("classes", {})}
    return {name: value.detach().clone() for name, value in moving.items()}


@pytest.mark.parametrize("changes", [*CHANGES, {"momentum": 0.0}])
def test_where_a_gradient_has_an_overflow_nothing_moves_and_the_scale_halves(
    make: MakeOptions, options: MakeOptions, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    scale_by(monkeypatch, 2.0**127)
    step, seen = TrainingLoop._step, []

    def watched(self: TrainingLoop) -> None:
        assert self.scaler is not None
        before, scale = everything(self), self.scaler.get_scale()
        step(self)
        after = everything(self)
        stayed = all(torch.equal(after[name], value) for name, value in before.items())
        zero = not any(value.any() for name, value in after.items() if name not in before)
        seen.append((self.scaler.get_scale() / scale, stayed and zero))

    monkeypatch.setattr(TrainingLoop, "_step", watched)
    large = {"loss_weights": (1e3, 1e3, 1e3)} if make is options else {}
    train(make(**changes, **large, lr=1e-5, epochs=5))
    assert seen[0] == (0.5, True)
    assert (1.0, False) in seen[-2:]  # a larger gradient may halve it once more
    assert set(seen) == {(0.5, True), (1.0, False)}


def test_a_run_goes_on_with_the_scale_it_had(
    make: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale_by(monkeypatch, 2.0**125, interval=3)
    train(make(epochs=3, output=tmp_path / "whole"))
    train(make(epochs=1))
    train(make(epochs=3, resume=tmp_path / "run"))
    assert saved(tmp_path / "run")["scaler"] == saved(tmp_path / "whole")["scaler"]
    assert same(saved_weights(tmp_path / "run"), saved_weights(tmp_path / "whole"))
