from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from face_analysis.losses.ordinal import (
    age_ranks,
    counted_age,
    expected_age,
    ordinal_loss,
    ordinal_targets,
)


def test_targets_say_older_than_k() -> None:
    targets = ordinal_targets(torch.tensor([0, 1, 3, 100]), 4)
    assert targets.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_loss_equals_a_plain_loop_over_images_and_thresholds() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(9, 100)) * 3
    ages = np.array([0, 1, 35, 99, 100, -1, 50, -1, 17])
    total, known = 0.0, 0
    for row, age in zip(logits, ages, strict=True):
        if age < 0:
            continue
        known += 1
        for k, logit in enumerate(row):
            probability = 1 / (1 + math.exp(-logit))
            total -= math.log(probability if age > k else 1 - probability)
    loss = ordinal_loss(torch.tensor(logits), torch.tensor(ages))
    assert float(loss) == pytest.approx(total / known, rel=1e-5)


def test_loss_stays_finite_with_a_gradient_at_extreme_logits() -> None:
    logits = torch.tensor([[1e4] * 100, [-1e4] * 100], requires_grad=True)
    loss = ordinal_loss(logits, torch.tensor([0, 100]))
    loss.backward()
    assert float(loss) == pytest.approx(1e6)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_gradient_is_that_of_finite_differences() -> None:
    logits = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    ages = torch.tensor([0, 4, -1])
    (analytic,) = torch.autograd.grad(ordinal_loss(logits, ages), logits)
    for row, column in ((0, 0), (1, 3), (1, 5), (2, 2)):
        step = torch.zeros_like(logits)
        step[row, column] = 1e-2
        with torch.no_grad():
            slope = (ordinal_loss(logits + step, ages) - ordinal_loss(logits - step, ages)) / 2e-2
        assert float(analytic[row, column]) == pytest.approx(float(slope), abs=1e-3)


def test_no_known_age_costs_nothing() -> None:
    assert float(ordinal_loss(torch.randn(3, 100), torch.full((3,), -1))) == 0


def test_ages_are_decoded_as_the_count_and_as_the_sum_of_probabilities() -> None:
    probabilities = torch.tensor([[0.9, 0.6, 0.4, 0.1], [0.51, 0.49, 0.51, 0.2]])
    logits = torch.logit(probabilities)
    assert counted_age(logits).tolist() == [2, 2]
    assert expected_age(logits).tolist() == pytest.approx([2.0, 1.71], abs=1e-5)


def test_certain_logits_give_the_age_back_under_both_decodings() -> None:
    ages = torch.arange(101)
    logits = (ordinal_targets(ages, 100) - 0.5) * 80
    assert torch.equal(counted_age(logits), ages)
    torch.testing.assert_close(expected_age(logits), ages.float())


def test_rank_of_an_age_is_what_lies_below_it_and_half_of_itself() -> None:
    generator = np.random.default_rng(2)
    masses = np.concatenate([generator.gamma(0.3, size=(5, 101)), np.ones((1, 101))])
    masses /= masses.sum(axis=1, keepdims=True)
    older = np.clip(1 - masses.cumsum(axis=1)[:, :100], 1e-9, 1 - 1e-9)
    for mass, ranks in zip(masses, age_ranks(torch.logit(torch.tensor(older))), strict=True):
        expected = [sum(mass[:age]) + mass[age] / 2 for age in range(101)]
        assert ranks.tolist() == pytest.approx(expected, abs=1e-6)


def test_tasks_that_contradict_each_other_still_give_ranks_that_rise() -> None:
    ranks = age_ranks(torch.randn(50, 100, generator=torch.Generator().manual_seed(0)) * 3)
    assert (ranks.diff(dim=1) >= 0).all()
    assert ((ranks >= 0) & (ranks <= 1)).all()
