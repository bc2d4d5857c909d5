"""A run with --ema keeps a running average of the weights, and a stopped one loses nothing of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from face_analysis.errors import InterruptedRunError
from face_analysis.training import loop
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from tests.training.runs import signals

MakeOptions = Callable[..., TrainOptions]
Weights = dict[str, torch.Tensor]
DECAY = 0.6
"""So low that eight steps tell an average from the last weights."""


def checkpoint(folder: Path, name: str = "last") -> dict[str, Weights]:
    content: dict[str, Weights] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return content


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[int, Weights]:
    """The weights after every step."""
    found: dict[int, Weights] = {}
    step = loop.TrainingLoop._step

    def watched(self: loop.TrainingLoop) -> None:
        step(self)
        state = self.task.network.state_dict()
        found[self.at.step] = {name: tensor.detach().clone() for name, tensor in state.items()}

    monkeypatch.setattr(loop.TrainingLoop, "_step", watched)
    return found


def averaged(steps: dict[int, Weights], last: int) -> Weights:
    """The average after step `last` in float64, by its definition: it starts as the weights after step 1."""
    average = {name: tensor.double() for name, tensor in steps[1].items()}
    for step in range(2, last + 1):
        for name, tensor in steps[step].items():
            average[name] = DECAY * average[name] + (1 - DECAY) * tensor.double()
    return average


@pytest.mark.parametrize("validations", [1, 2])
def test_the_kept_network_is_the_average_of_the_weights_up_to_its_validation(
    options: MakeOptions, tmp_path: Path, steps: dict[int, Weights], validations: int
) -> None:
    run = train(options(ema=DECAY, validations=validations, freeze=1))
    assert sorted(steps) == list(range(1, 9))
    last = int(checkpoint(tmp_path / "run", "best")["step"])  # type: ignore[call-overload]
    expected = averaged(steps, last)
    kept = run.network.state_dict()
    floats = [name for name, tensor in kept.items() if tensor.is_floating_point()]
    assert {"heads.age.weight", "backbone.body.1.3.running_mean"} <= set(floats)
    for name in floats:
        torch.testing.assert_close(kept[name].double(), expected[name], rtol=1e-5, atol=1e-7)
    head, frozen = "heads.age.weight", "backbone.body.0.0.weight"
    assert not torch.allclose(kept[head], steps[last][head], rtol=1e-3)
    assert all(torch.equal(kept[frozen], weights[frozen]) for weights in steps.values())


@pytest.mark.parametrize(
    ("validations", "step"),
    [
        (1, 0),
        (1, 3),  # the last step of the first epoch
        (1, 5),
        (2, 1),  # a validation in mid-epoch is due
    ],
)
def test_an_averaged_run_on_a_cosine_that_is_stopped_and_resumed_ends_as_if_it_had_not_been(
    options: MakeOptions,
    tmp_path: Path,
    at_step: Callable[[int, Callable[[], None]], None],
    validations: int,
    step: int,
) -> None:
    changes = {"ema": DECAY, "lr_cosine": True, "freeze": 1, "degrade": 0.5, "validations": validations}
    whole = train(options(output=tmp_path / "whole", **changes)).network.state_dict()
    at_step(step, signals(signal.SIGTERM))
    with pytest.raises(InterruptedRunError):
        train(options(**changes))
    at_step(-1, signals())
    resumed = train(options(resume=tmp_path / "run", **changes)).network.state_dict()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in resumed.items())
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def test_an_averaged_run_goes_on_from_its_own_weights_not_from_their_average(
    options: MakeOptions, tmp_path: Path
) -> None:
    train(options(output=tmp_path / "whole", ema=DECAY, epochs=3))
    train(options(ema=DECAY, epochs=1))
    train(options(ema=DECAY, epochs=3, resume=tmp_path / "run"))
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def assert_same_end(folder: Path, other: Path) -> None:
    """Both the weights that learn and their average, to the last bit."""
    ours, theirs = checkpoint(folder), checkpoint(other)
    for state in ("state_dict", "learning"):
        assert all(torch.equal(tensor, theirs[state][name]) for name, tensor in ours[state].items())
    head = "network.heads.age.weight"
    assert not torch.equal(ours["state_dict"][head], ours["learning"][head])
