from __future__ import annotations

import pytest

from face_analysis.training.hardware import choose
from face_analysis.training.options import TrainOptions


@pytest.mark.parametrize(
    ("precision", "fast", "taken", "why"),
    [
        ("auto", True, "bf16-mixed", "fast here"),
        ("auto", False, "32-true", "bf16 is not fast here"),
        ("bf16-mixed", True, "bf16-mixed", "as told"),
        ("bf16-mixed", False, "bf16-mixed", "as told, though bf16 is slow here"),
        ("32-true", False, "32-true", "as told"),
    ],
)
def test_a_cpu_trains_in_bf16_where_that_is_fast_or_where_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, precision: str, fast: bool, taken: str, why: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("face_analysis.training.hardware.fast_bf16", lambda device: fast)
    hardware = choose(TrainOptions(attribute=("age",), precision=precision))  # type: ignore[arg-type]
    assert hardware.precision == taken
    assert hardware.description.endswith(f"({why})")
