from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from face_analysis.losses.cosines import cosines


def inputs(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(7, 16, generator=generator, dtype=dtype)).requires_grad_()
    centres = (torch.randn(11, 16, generator=generator, dtype=dtype) * 3).requires_grad_()
    return embeddings, centres


def test_they_and_their_gradients_are_those_of_normalised_centres() -> None:
    found, expected = [], []
    for function, into in ((cosines, found), (lambda x, w: F.linear(x, F.normalize(w)), expected)):
        embeddings, centres = inputs(torch.float64)
        result = function(embeddings, centres)
        (result**3).sum().backward()
        into += [result.detach(), embeddings.grad, centres.grad]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_their_gradient_is_that_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(cosines, inputs(torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_centre_of_length_zero_gives_finite_numbers(dtype: torch.dtype) -> None:
    embeddings, centres = inputs(dtype)
    with torch.no_grad():
        centres[3] = 0
    result = cosines(embeddings, centres)
    assert (result[:, 3] == 0).all()
    result.sum().backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
