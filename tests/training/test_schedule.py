from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from face_analysis.errors import UsageError
from face_analysis.training.optimiser import warm_cosine
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train

MakeOptions = Callable[..., TrainOptions]


def torchs_rates(steps: int, warm: int, rate: float = 1.0) -> list[float]:
    """A straight rise over `warm` steps and a cosine after them, by torch's own schedules."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    rise = LinearLR(optimiser, 1 / (warm + 1), 1.0, warm)
    fall = CosineAnnealingLR(optimiser, steps - warm)
    schedule = SequentialLR(optimiser, [rise, fall], [warm])
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(("steps", "epochs"), [(8, 2), (40, 5), (1000, 2), (6, 1)])
def test_factors_are_those_of_torchs_linear_and_cosine_schedules(steps: int, epochs: int) -> None:
    factor = warm_cosine(steps, epochs)
    expected = torchs_rates(steps, steps // epochs // 2)
    assert [factor(step) for step in range(steps)] == pytest.approx(expected, abs=1e-9)
    assert factor(steps) == pytest.approx(0, abs=1e-12)
    assert factor(steps + 5) == pytest.approx(0, abs=1e-12), "a run that goes on does not rise again"


def test_a_rise_that_ends_between_two_steps_never_passes_1() -> None:
    factors = [warm_cosine(15, 3)(step) for step in range(15)]  # 2.5 steps of rise
    assert factors[:3] == pytest.approx([1 / 3.5, 2 / 3.5, 3 / 3.5])
    assert factors[3:] == sorted(factors[3:], reverse=True)
    assert max(factors) < 1


def test_a_run_of_a_single_step_learns() -> None:
    assert 0 < warm_cosine(1, 1)(0) <= 1


def test_a_run_learns_at_the_rates_of_the_schedule(options: MakeOptions, tmp_path: Path) -> None:
    train(options(attribute=("gender",), lr_cosine=True, head_lr=10, epochs=3))
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        logged = [float(row["learning_rate"]) for row in csv.DictReader(file) if row["learning_rate"]]
    assert logged == pytest.approx(torchs_rates(12, 2, rate=0.02), rel=1e-4)


def test_two_schedules_at_once_are_refused(options: MakeOptions) -> None:
    with pytest.raises(UsageError, match="--lr_cosine and --lr_plateau"):
        train(options(lr_cosine=True, lr_plateau=True))
