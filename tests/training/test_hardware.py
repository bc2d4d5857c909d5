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
    ("precision", "begun_in", "cuda", "fast", "taken", "why"),
    [
        ("auto", None, False, True, "bf16-mixed", "fast here"),
        ("auto", None, False, False, "32-true", "bf16 is not fast here"),
        ("bf16-mixed", None, False, True, "bf16-mixed", "as told"),
        ("bf16-mixed", None, False, False, "bf16-mixed", "as told, though bf16 is slow here"),
        ("32-true", None, False, False, "32-true", "as told"),
        ("auto", "bf16-mixed", False, False, "bf16-mixed", "as the run began, though bf16 is slow here"),
        ("auto", "64-true", False, False, "64-true", "as the run began"),
        ("auto", "16-mixed", True, False, "16-mixed", "as the run began"),
        ("auto", "16-mixed", False, False, "32-true", "bf16 is not fast here"),
        ("32-true", "64-true", False, False, "32-true", "as told"),
    ],
)
def test_the_number_format_is_as_told_or_as_the_run_began_or_else_the_fast_one(
    monkeypatch: pytest.MonkeyPatch,
    precision: Precision,
    begun_in: Precision | None,
    cuda: bool,
    fast: bool,
    taken: Precision,
    why: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    monkeypatch.setattr("face_analysis.training.hardware.fast_bf16", lambda device: fast)
    hardware = choose(TrainOptions(attribute=("age",), precision=precision), begun_in)
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
        choose(TrainOptions(attribute=("age",), precision="16-mixed"), None)
