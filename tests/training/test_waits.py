"""Between two looks at the device no step waits for it: no number of it is read, and no mask counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from face_analysis.errors import NonFiniteLossError
from face_analysis.losses.age import AGE_LOSSES
from face_analysis.training import loop
from face_analysis.training.loop import TrainingLoop
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.tasks.attributes import AttributeTask
from face_analysis.training.tasks.heads import HEADS
from face_analysis.training.tasks.recognition import RecognitionTask
from face_analysis.zoo.card import AgeLossName
from tests.training.runs import rows
from tests.training.waits import HostWaits

MakeOptions = Callable[..., TrainOptions]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> HostWaits:
    """Watches what is done with each batch, but not what reads, saves or loads."""
    waits = HostWaits(monkeypatch)
    waits.wrap(monkeypatch, TrainingLoop, "_train_part", watched=True)
    for name in ("_read", "_save", "_validate"):
        waits.wrap(monkeypatch, TrainingLoop, name, watched=False)
    for task in (AttributeTask, RecognitionTask):
        waits.wrap(monkeypatch, task, "validate", watched=True)
    return waits


WAITS: dict[str, Callable[[Tensor], object]] = {
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "bool": lambda x: bool(x.sum()),
    "if": lambda x: 1 if x.sum() > 0 else 0,
    "index": lambda x: range(x.sum().long()),
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: torch.nonzero(x),
    "unique": lambda x: torch.unique(x),
    "masked": lambda x: x[x > 0],
    "masked write": lambda x: x.clone().__setitem__(x > 0, 0.0),
    "tensor": lambda x: torch.tensor(1.0, device=x.device),
    "equal": lambda x: torch.equal(x, x),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with HostWaits(monkeypatch) as waits:
        WAITS[name](torch.ones(3))
        assert not waits.found
        waits.watching = True
        WAITS[name](torch.ones(3))
    assert waits.found


def require_no_wait(waits: HostWaits, options: TrainOptions) -> None:
    with waits:
        train(options)
    assert waits.calls > 0
    assert waits.found == []


SPOILT = {"jitter": 0.5, "degrade": 1.0, "dropout": 0.3}
ATTRIBUTES: list[dict[str, object]] = [
    {},
    SPOILT,
    {**SPOILT, "mixup": 0.4, "label_smoothing": 0.1, "accumulate": 2},
    {**SPOILT, "balance": "gender", "clip": 0.5, "ema": 0.9},
    {"optimizer": "adamw", "lr_cosine": True, "clip": 0.5},
    {"age_task_weights": True, "loss_weights": (1.0, 2.0, 0.5)},
    {"precision": "bf16-mixed"},
    {"precision": "64-true"},
]


@pytest.mark.parametrize("changes", ATTRIBUTES)
def test_no_step_of_attributes_waits(
    waits: HostWaits, options: MakeOptions, changes: dict[str, object]
) -> None:
    require_no_wait(waits, options(**changes))


@pytest.mark.parametrize("age_loss", get_args(AgeLossName))
def test_no_loss_of_age_waits(waits: HostWaits, options: MakeOptions, age_loss: AgeLossName) -> None:
    require_no_wait(waits, options(attribute=("age",), age_loss=age_loss, epochs=1))


RECOGNITION: list[dict[str, object]] = [
    {},
    {**SPOILT, "clip": 0.5, "ema": 0.9},
    {"subcentres": 3, "accumulate": 3},
    {"margin_warmup": 1.0, "optimizer": "adamw", "images_per_person": 3},
]
SAMPLED: list[dict[str, object]] = [
    {"sample_rate": 0.5},
    {"sample_rate": 0.5, "accumulate": 3, "subcentres": 2},
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("changes", [*RECOGNITION, *SAMPLED])
def test_no_step_of_recognition_waits(
    waits: HostWaits, recognition: MakeOptions, head: str, changes: dict[str, object]
) -> None:
    if head == "adacos" and "sample_rate" in changes:
        pytest.skip("AdaCos compares with all classes")
    require_no_wait(waits, recognition(head=head, epochs=1, **changes))


@pytest.mark.parametrize(
    "changes", [{"freeze": 1, **SPOILT}, {"checkpointing": True}, {"backbone": "mobilefacenet"}]
)
def test_no_step_of_a_published_network_waits(
    waits: HostWaits, recognition: MakeOptions, changes: dict[str, object]
) -> None:
    require_no_wait(waits, recognition(epochs=1, **changes))


def test_the_device_is_read_at_intervals_validations_and_checkpoints_alone(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 24 steps with batches of one pair: after 10, at the validation of 12, and so on."""
    read: list[int] = []
    method = TrainingLoop._read

    def noted(self: TrainingLoop) -> None:
        read.append(self.at.step)
        method(self)

    monkeypatch.setattr(TrainingLoop, "_read", noted)
    monkeypatch.setattr(loop, "READ_EVERY", 10)
    train(options(batch_size=2))
    assert read == [10, 12, 12, 20, 24, 24, 24]


@pytest.mark.parametrize("every", [1, 5, 20])
def test_the_log_does_not_depend_on_when_the_device_is_read(
    options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    train(options(batch_size=2, output=tmp_path / "usual"))
    monkeypatch.setattr(loop, "READ_EVERY", every)
    train(options(batch_size=2))
    assert rows(tmp_path / "run") == rows(tmp_path / "usual")
    assert len([row for row in rows(tmp_path / "run") if row["train_loss"]]) == 12  # every second step


def test_the_first_loss_that_is_not_finite_is_named_though_it_is_seen_later(
    options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 15 is seen at the validation after step 23; no weights of these steps are saved."""
    ordinal, taken = AGE_LOSSES["ordinal"], []

    def broken_once(logits: Tensor, ages: Tensor) -> Tensor:
        taken.append(ages)
        return ordinal.loss(logits, ages) * (math.nan if len(taken) == 16 else 1)

    monkeypatch.setitem(AGE_LOSSES, "ordinal", replace(ordinal, loss=broken_once))
    with pytest.raises(NonFiniteLossError, match=r"step 15 \(epoch 1; .*age nan\)"):
        train(options(batch_size=2))
    assert len(taken) == 20
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["step"] == 12
    assert all(torch.isfinite(weights).all() for weights in saved["state_dict"].values())
    assert [int(row["step"]) for row in rows(tmp_path / "run") if row["train_loss"]] == [
        1,
        3,
        5,
        7,
        9,
        11,
        13,
    ]
