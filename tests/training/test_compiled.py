from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._inductor import config

from face_analysis.errors import UsageError
from face_analysis.models.iresnet import ResidualUnit
from face_analysis.models.layers import Backbone
from face_analysis.training.compiled import compile_body, require_compiler
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train

MakeOptions = Callable[..., TrainOptions]


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
