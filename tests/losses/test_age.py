"""Every loss of age against the formula of its paper, written as loops over images, tasks and years."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.special import log_expit, log_softmax
from scipy.stats import norm

from face_analysis.losses.age import AGE_LOSSES
from face_analysis.losses.ordinal import age_ranks, counted_age, expected_age, task_weights
from face_analysis.models.age_heads import AGE_HEADS
from face_analysis.zoo.card import AgeLossName

NAMES = sorted(AGE_LOSSES)
AGES = (0, 1, 35, 99, 100, -1, 50, 17)
Row = np.ndarray
WEIGHTS = np.random.default_rng(5).uniform(0.2, 1, 100)


def drawn(name: AgeLossName, seed: int = 1, scale: float = 3.0) -> torch.Tensor:
    shape = (len(AGES), AGE_HEADS[name].outputs)
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape) * scale)


def test_each_loss_that_a_card_can_name_has_a_head_and_a_formula() -> None:
    assert get_args(AgeLossName) == tuple(AGE_HEADS) == tuple(AGE_LOSSES)


def binary(logit: float, older: bool) -> float:
    return -float(log_expit(logit if older else -logit))


def ordinal(row: Row, age: int, weights: Row) -> float:
    return sum(w * binary(logit, age > k) for k, (logit, w) in enumerate(zip(row, weights, strict=True)))


def pairs(row: Row, age: int, weights: Row) -> float:
    total = 0.0
    for k in range(100):
        total -= weights[k] * float(log_softmax(row[2 * k : 2 * k + 2])[1 if age > k else 0])
    return total


def corn(row: Row, age: int, weights: Row) -> float:
    return sum(weights[k] * binary(row[k], age > k) for k in range(100) if age > k - 1)


def dex(row: Row, age: int) -> float:
    return -float(log_softmax(row)[age])


def dldl(row: Row, age: int) -> float:
    label = [float(norm.pdf(year, loc=age, scale=2)) for year in range(101)]
    label = [share / sum(label) for share in label]
    logs = log_softmax(row)
    divergence = sum(p * (math.log(p) - logs[year]) for year, p in enumerate(label) if p > 0)
    mean = sum(year * math.exp(logs[year]) for year in range(101))
    return float(divergence + abs(mean - age))


def mean_variance(row: Row, age: int) -> float:
    shares = np.exp(log_softmax(row))
    mean = sum(year * share for year, share in enumerate(shares))
    variance = sum(share * (year - mean) ** 2 for year, share in enumerate(shares))
    return float(dex(row, age) + 0.2 * (mean - age) ** 2 / 2 + 0.05 * variance)


def l1(row: Row, age: int) -> float:
    return float(abs(50 + 20 * row[0] - age) / 20)


def l2(row: Row, age: int) -> float:
    return float((50 + 20 * row[0] - age) ** 2 / 400)


BY_TASK: dict[str, Callable[[Row, int, Row], float]] = {
    "ordinal": ordinal,
    "pairs": pairs,
    "coral": ordinal,
    "corn": corn,
}
BY_IMAGE: dict[str, Callable[[Row, int], float]] = {
    **{name: partial(loss, weights=np.ones(100)) for name, loss in BY_TASK.items()},
    "dex": dex,
    "dldl": dldl,
    "mean_variance": mean_variance,
    "l1": l1,
    "l2": l2,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_equals_its_papers_formula_over_the_known_ages(name: AgeLossName) -> None:
    logits = drawn(name)
    expected = [BY_IMAGE[name](row, age) for row, age in zip(logits.numpy(), AGES, strict=True) if age >= 0]
    ages = torch.tensor(AGES)
    assert float(AGE_LOSSES[name].loss(logits, ages)) == pytest.approx(np.mean(expected), rel=1e-6)
    single = AGE_LOSSES[name].loss(logits.float(), ages)
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize("name", sorted(BY_TASK))
def test_weights_multiply_the_tasks(name: AgeLossName) -> None:
    logits = drawn(name)
    expected = [
        BY_TASK[name](row, age, WEIGHTS) for row, age in zip(logits.numpy(), AGES, strict=True) if age >= 0
    ]
    found = AGE_LOSSES[name].loss(logits, torch.tensor(AGES), torch.from_numpy(WEIGHTS))
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name: AgeLossName) -> None:
    logits = drawn(name, scale=1.0).requires_grad_()
    assert torch.autograd.gradcheck(AGE_LOSSES[name].loss, (logits, torch.tensor(AGES)), fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_logits_under_autocast_cost_what_they_do_in_float32(name: AgeLossName) -> None:
    logits = drawn(name).to(torch.bfloat16)
    expected = AGE_LOSSES[name].loss(logits.float(), torch.tensor(AGES))
    with torch.autocast("cpu", torch.bfloat16):
        found = AGE_LOSSES[name].loss(logits, torch.tensor(AGES))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_leave_loss_gradient_and_age_finite(name: AgeLossName) -> None:
    signs = torch.sign(drawn(name)).float()
    for size in (1e4, 3e4):
        logits = (size * signs).requires_grad_()
        loss = AGE_LOSSES[name].loss(logits, torch.tensor(AGES))
        loss.backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(loss)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
        years = expected_age(AGE_LOSSES[name].threshold_logits(logits.detach()))
        assert ((years >= 0) & (years <= 100.001)).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_known_age_costs_nothing(name: AgeLossName) -> None:
    assert float(AGE_LOSSES[name].loss(drawn(name), torch.full((len(AGES),), -1))) == 0


def sure(name: AgeLossName, ages: torch.Tensor) -> torch.Tensor:
    """Logits of a network that knows these ages."""
    older = (ages[:, None] > torch.arange(100)).float()
    if name in ("l1", "l2"):
        return (ages[:, None] - 50) / 20
    if name == "pairs":
        return torch.stack([1 - older, older], dim=2).flatten(1) * 40
    if AGE_HEADS[name].gives == "years":
        return torch.nn.functional.one_hot(ages, 101) * 40.0
    return (older - 0.5) * 80


@pytest.mark.parametrize("name", NAMES)
def test_logits_that_know_the_age_give_it_back(name: AgeLossName) -> None:
    ages = torch.arange(101)
    tasks = AGE_LOSSES[name].threshold_logits(sure(name, ages))
    assert tasks.shape == (101, 100)
    torch.testing.assert_close(expected_age(tasks), ages.float(), atol=2e-4, rtol=0)
    assert torch.equal(counted_age(tasks), ages)


@pytest.mark.parametrize("name", NAMES)
def test_knowing_the_age_costs_less_than_being_a_year_off(name: AgeLossName) -> None:
    ages = torch.arange(101)
    right = AGE_LOSSES[name].loss(sure(name, ages), ages)
    assert right < AGE_LOSSES[name].loss(sure(name, (ages + 1).clamp(max=100)), ages)


@pytest.mark.parametrize("name", ["dex", "dldl", "mean_variance"])
def test_a_distribution_is_decoded_to_its_expected_value_and_its_tails(name: AgeLossName) -> None:
    logits = drawn(name)
    shares = np.exp(log_softmax(logits.numpy(), axis=1))
    tasks = AGE_LOSSES[name].threshold_logits(logits)
    assert expected_age(tasks).tolist() == pytest.approx((shares @ np.arange(101)).tolist(), rel=1e-5)
    for row, found in zip(shares, torch.sigmoid(tasks).tolist(), strict=True):
        assert found == pytest.approx([row[k + 1 :].sum() for k in range(100)], abs=1e-9)


def test_corn_multiplies_the_conditional_probabilities() -> None:
    logits = drawn("corn")
    found = torch.sigmoid(AGE_LOSSES["corn"].threshold_logits(logits)).tolist()
    for row, older in zip(logits.tolist(), found, strict=True):
        chance = 1.0
        for logit, probability in zip(row, older, strict=True):
            chance /= 1 + math.exp(-logit)
            assert probability == pytest.approx(chance, abs=1e-12)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"ordinal", "pairs", "coral"}))
def test_tasks_do_not_contradict_each_other(name: AgeLossName) -> None:
    tasks = AGE_LOSSES[name].threshold_logits(drawn(name).float())
    assert (tasks.diff(dim=1) <= 1e-5).all()
    assert (age_ranks(tasks).diff(dim=1) >= 0).all()


def test_a_regressed_age_is_read_off_to_a_fraction_and_held_within_0_to_100() -> None:
    logits = torch.tensor([[-3.0], [-2.4], [0.0137], [2.49], [9.0]])
    years = expected_age(AGE_LOSSES["l2"].threshold_logits(logits))
    assert years.tolist() == pytest.approx([0, 2, 50.274, 99.8, 100], abs=2e-4)


def test_task_weights_are_the_roots_of_the_larger_class_over_the_largest() -> None:
    ages = np.random.default_rng(3).integers(0, 101, 500) // 3
    counts = np.bincount(ages, minlength=101)
    larger = [max(sum(age > k for age in ages), sum(age <= k for age in ages)) for k in range(100)]
    expected = [math.sqrt(number / max(larger)) for number in larger]
    assert task_weights(torch.from_numpy(counts)).tolist() == pytest.approx(expected, rel=1e-6)
