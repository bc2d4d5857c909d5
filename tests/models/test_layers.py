from __future__ import annotations

import pytest
import torch

from face_analysis.models.layers import PReLU


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (1, 8, 1, 1), (3, 1, 2, 2)])
def test_values_and_gradients_equal_a_plain_loop(
    shape: tuple[int, int, int, int], layout: torch.memory_format
) -> None:
    x = torch.randn(shape).contiguous(memory_format=layout)
    x[0, 0, 0, 0] = 0.0
    upstream = torch.randn(shape)
    layer = PReLU(shape[1])
    torch.nn.init.uniform_(layer.weight, -1, 1)
    x.requires_grad_()
    output = layer(x)
    output.backward(upstream)

    slopes, slope_gradients = layer.weight.tolist(), [0.0] * shape[1]
    assert x.grad is not None
    assert layer.weight.grad is not None
    for index in torch.cartesian_prod(*(torch.arange(size) for size in shape)).tolist():
        n, c, i, j = index
        value, gradient = float(x[n, c, i, j]), float(upstream[n, c, i, j])
        positive = value > 0
        assert float(output[n, c, i, j]) == pytest.approx(value if positive else slopes[c] * value)
        assert float(x.grad[n, c, i, j]) == pytest.approx(gradient if positive else slopes[c] * gradient)
        slope_gradients[c] += 0.0 if positive else gradient * value
    assert layer.weight.grad.tolist() == pytest.approx(slope_gradients, rel=1e-4, abs=1e-5)


def test_bf16_under_autocast_keeps_the_weight_gradient_in_float32() -> None:
    layer = PReLU(6)
    x = torch.randn(2, 6, 4, 4).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    layer(x).float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
    expected = x.double().clamp(max=0).sum(dim=(0, 2, 3))
    torch.testing.assert_close(layer.weight.grad.double(), expected, rtol=2e-2, atol=5e-2)
