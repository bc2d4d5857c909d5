from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from face_analysis.errors import UsageError
from face_analysis.machine import Form, Precision
from face_analysis.training import hardware
from face_analysis.training.hardware import choose
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from tests.training.runs import same, saved

BF16 = {"float32 on 1 thread": 10.0, "bf16 on 1 thread": 20.0}
F32 = {"float32 on 1 thread": 10.0, "bf16 on 1 thread": 5.0}


@pytest.fixture
def threads() -> Iterator[None]:
    """Give the process its number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("precision", "begun", "speeds", "taken", "why"),
    [
        ("auto", None, BF16, "bf16-mixed", "measured 20 images/s; float32 10"),
        ("auto", None, F32, "32-true", "measured 10 images/s; bf16 5"),
        ("bf16-mixed", None, {}, "bf16-mixed", "as given"),
        ("32-true", None, {}, "32-true", "as given"),
        ("auto", "bf16-mixed", {}, "bf16-mixed", "as the run began"),
        ("auto", "64-true", {}, "64-true", "as the run began"),
        ("auto", "16-mixed", F32, "32-true", "measured 10 images/s; bf16 5"),
        ("32-true", "64-true", {}, "32-true", "as given"),
    ],
)
def test_the_number_format_is_as_told_or_as_the_run_began_or_else_the_fastest(
    monkeypatch: pytest.MonkeyPatch,
    precision: Precision,
    begun: Precision | None,
    speeds: dict[str, float],
    taken: Precision,
    why: str,
) -> None:
    monkeypatch.setattr(hardware, "remembered", lambda what, measure: speeds)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = TrainOptions(attribute=("age",), precision=precision)
    found = choose(options, Form(begun) if begun else None)
    assert found.form == Form(taken, 1)
    assert found.description.endswith(f"({why})")


@pytest.mark.usefixtures("threads")
def test_a_run_goes_on_with_the_threads_it_began_with_or_those_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("face_analysis.training.hardware.all_threads", lambda: 4)
    monkeypatch.setattr("face_analysis.inference.loading.all_threads", lambda: 4)
    for told, begun, taken in ((0, 3, 3), (2, 3, 2), (0, 8, 4)):
        options = TrainOptions(attribute=("age",), threads=told)
        assert choose(options, Form("32-true", begun)).form.threads == taken
        assert torch.get_num_threads() == taken


@pytest.mark.usefixtures("threads")
@pytest.mark.usefixtures("full_size")
def test_what_is_measured_is_the_training_of_the_networks_backbone() -> None:
    options = TrainOptions(attribute=("age",), depth=18, width=0.125, batch_size=4)
    found = choose(options, None)
    assert found.form.precision in ("32-true", "bf16-mixed")
    assert "(measured " in found.description
    assert "bf16" in found.description


def test_a_run_in_float64_is_resumed_in_float64(options: Callable[..., TrainOptions], tmp_path: Path) -> None:
    train(options(precision="64-true", output=tmp_path / "whole"))
    train(options(precision="64-true", epochs=1))
    train(options(precision="auto", resume=tmp_path / "run"))
    for part in ("state_dict", "optimizer"):
        assert same(saved(tmp_path / "run")[part], saved(tmp_path / "whole")[part])
    assert "precision: 64-true" in (tmp_path / "run" / "config.yaml").read_text()


def test_what_was_taken_is_in_the_config(options: Callable[..., TrainOptions], tmp_path: Path) -> None:
    train(options(precision="auto", threads=0, epochs=1))
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert "precision: auto" not in config
    assert "threads: 1\n" in config
    assert "accumulate: 1\n" in config


def test_float16_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="--precision 16-mixed needs a GPU"):
        train(TrainOptions(attribute=("age",), precision="16-mixed"))
