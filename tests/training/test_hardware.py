from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from face_analysis.errors import UsageError
from face_analysis.training.hardware import choose
from face_analysis.training.options import Precision, TrainOptions
from face_analysis.training.run import train
from tests.training.runs import same, saved


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


@pytest.mark.parametrize(
    ("precision", "begun_in", "cuda", "taken", "why"),
    [
        ("auto", "bf16-mixed", False, "bf16-mixed", "as the run began, though bf16 is slow here"),
        ("auto", "64-true", False, "64-true", "as the run began"),
        ("auto", "16-mixed", True, "16-mixed", "as the run began"),
        ("auto", "16-mixed", False, "32-true", "bf16 is not fast here"),
        ("32-true", "64-true", False, "32-true", "as told"),
    ],
)
def test_a_resumed_run_keeps_its_number_format_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, precision: str, begun_in: Precision, cuda: bool, taken: str, why: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    monkeypatch.setattr("face_analysis.training.hardware.fast_bf16", lambda device: False)
    hardware = choose(TrainOptions(attribute=("age",), precision=precision), begun_in)  # type: ignore[arg-type]
    assert hardware.precision == taken
    assert hardware.description.endswith(f"({why})")


def test_a_run_in_float64_is_resumed_in_float64(options: Callable[..., TrainOptions], tmp_path: Path) -> None:
    train(options(precision="64-true", output=tmp_path / "whole"))
    train(options(precision="64-true", epochs=1))
    train(options(precision="auto", resume=tmp_path / "run"))
    for part in ("state_dict", "optimizer_states"):
        assert same(saved(tmp_path / "run")[part], saved(tmp_path / "whole")[part])
    assert "precision: 64-true" in (tmp_path / "run" / "config.yaml").read_text()


def test_float16_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="--precision 16-mixed needs a GPU"):
        choose(TrainOptions(attribute=("age",), precision="16-mixed"))
