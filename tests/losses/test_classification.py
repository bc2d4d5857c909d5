from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from face_analysis.losses.classification import class_weights, weighted_cross_entropy


def test_class_weight_is_largest_count_over_count_and_0_for_an_absent_class() -> None:
    counts = torch.tensor([100, 25, 0, 50])
    assert class_weights(counts).tolist() == [1.0, 4.0, 0.0, 2.0]
    assert class_weights(counts, 0.5).tolist() == pytest.approx([1.0, 2.0, 0.0, 2**0.5])
    assert class_weights(counts, 0).tolist() == [1.0, 1.0, 0.0, 1.0]


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
