from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.distributed import rank
from face_analysis.losses.cross_entropy import frequency_weights, split_cross_entropy, weighted_cross_entropy
from tests.training.processes import together


def test_class_weight_is_largest_count_over_count_and_0_for_an_absent_class() -> None:
    counts = torch.tensor([100, 25, 0, 50])
    assert frequency_weights(counts).tolist() == [1.0, 4.0, 0.0, 2.0]
    assert frequency_weights(counts, 0.5).tolist() == pytest.approx([1.0, 2.0, 0.0, 2**0.5])
    assert frequency_weights(counts, 0).tolist() == [1.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weighted_cross_entropy_equals_a_plain_loop(dtype: torch.dtype, smoothing: float) -> None:
    generator = np.random.default_rng(0)
    logits = torch.tensor(generator.normal(size=(17, 5)) * 4).to(dtype)
    labels = generator.integers(-1, 5, size=17)
    weights = [1.0, 2.5, 4.0, 1.5, 6.0]
    total = norm = 0.0
    for row, label in zip(logits.double().tolist(), labels.tolist(), strict=True):
        if label == -1:
            continue
        log_sum = math.log(sum(math.exp(value) for value in row))
        spread = sum(log_sum - value for value in row) / len(row)
        total += weights[label] * ((1 - smoothing) * (log_sum - row[label]) + smoothing * spread)
        norm += weights[label]
    loss = weighted_cross_entropy(logits, torch.tensor(labels), torch.tensor(weights), smoothing)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(total / norm, rel=1e-5)


def test_weighted_cross_entropy_agrees_with_torch_where_all_labels_are_known() -> None:
    logits, labels = torch.randn(32, 5, dtype=torch.float64), torch.randint(5, (32,))
    weights = torch.rand(5, dtype=torch.float64) + 0.5
    expected = torch.nn.functional.cross_entropy(logits, labels, weight=weights)
    torch.testing.assert_close(weighted_cross_entropy(logits, labels, weights), expected)


def test_a_batch_without_known_labels_costs_nothing_and_moves_nothing() -> None:
    logits = torch.randn(4, 5, requires_grad=True)
    loss = weighted_cross_entropy(logits, torch.full((4,), -1), torch.ones(5))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(4, 5))


SPLITS = ([7, 3], [2, 5, 3])


def logits_and_labels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(9, 10, generator=generator, dtype=torch.float64) * 30
    labels = torch.randint(10, (9,), generator=generator)
    logits[0] = 1e4  # far beyond what exp can hold
    return logits, labels


def expected() -> tuple[Tensor, Tensor]:
    logits, labels = logits_and_labels()
    logits.requires_grad_()
    loss = F.cross_entropy(logits, labels)
    (3 * loss).backward()
    assert logits.grad is not None
    return loss.detach(), logits.grad


def gradient(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    source = logits.clone().requires_grad_()
    loss = split_cross_entropy(source * 1, labels)
    (3 * loss).backward()
    assert source.grad is not None
    return loss.detach(), source.grad


def test_without_processes_it_is_cross_entropy() -> None:
    loss, gradients = gradient(*logits_and_labels())
    torch.testing.assert_close(loss, expected()[0])
    torch.testing.assert_close(gradients, expected()[1])


def part(sizes: list[int]) -> tuple[Tensor, Tensor]:
    logits, labels = logits_and_labels()
    start = sum(sizes[: rank()])
    mine = (labels >= start) & (labels < start + sizes[rank()])
    own = torch.where(mine, labels - start, -1)
    return gradient(logits[:, start : start + sizes[rank()]], own)


def test_split_over_processes_it_is_the_same(tmp_path: Path) -> None:
    for sizes in SPLITS:
        parts = together(part, len(sizes), tmp_path / str(len(sizes)), sizes)
        for loss, _ in parts:
            torch.testing.assert_close(loss, expected()[0])
        torch.testing.assert_close(torch.cat([grad for _, grad in parts], dim=1), expected()[1])


@pytest.mark.parametrize("gap", [87.0, 103.7, 115.8, 130.5, 300.0])
def test_a_row_that_is_far_from_its_class_has_its_whole_loss(gap: float) -> None:
    """Where exp(-gap) is no float32 any more."""
    logits = torch.tensor([[0.0, gap, -5.0]], requires_grad=True)
    loss = split_cross_entropy(logits * 1, torch.tensor([0]))
    assert loss.item() == pytest.approx(gap)
    loss.backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[-1.0, 1.0, 0.0]]))
