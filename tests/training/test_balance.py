from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from face_analysis.errors import UsageError
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.tasks.attributes import AttributeTask

MakeOptions = Callable[..., TrainOptions]


@pytest.fixture
def uneven(patterns: Path, tmp_path: Path) -> Path:
    """30 images: 26 of gender 0, two of 1, and two of which it is not known; ages in two bands."""
    names = [line.split(" ")[0] for line in patterns.read_text().splitlines()[:30]]
    genders = [0] * 26 + [1, 1, -1, -1]
    ages = [4 if row < 3 else 25 for row in range(30)]
    lines = [
        f"{patterns.parent}/{row[0]} 0 {row[1]} {row[2]}\n" for row in zip(names, genders, ages, strict=True)
    ]
    (tmp_path / "uneven.txt").write_text("".join(lines))
    return tmp_path / "uneven.txt"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Labels (N, attributes) of every batch that a run trains on."""
    batches: list[torch.Tensor] = []
    step = AttributeTask.loss

    def watched(self: AttributeTask, batch: object) -> object:
        batches.append(batch.labels)  # type: ignore[attr-defined]
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(AttributeTask, "loss", watched)
    return batches


def test_a_balanced_run_sees_both_genders_equally_often_in_an_epoch_of_the_same_length(
    options: MakeOptions, uneven: Path, seen: list[torch.Tensor]
) -> None:
    train(options(train_list=uneven, balance="gender", epochs=2))
    assert Counter(torch.cat(seen)[:, 1].tolist()) == {0: 30, 1: 30}
    assert len(seen) == 10


def test_age_is_balanced_by_its_bands_and_the_validation_stays_as_it_is(
    options: MakeOptions, uneven: Path, seen: list[torch.Tensor]
) -> None:
    run = train(options(attribute=("age",), train_list=uneven, balance="age", epochs=1))
    assert Counter(torch.cat(seen)[:, 0].tolist()) == {4: 15, 25: 15}
    assert len(run.plan.validation[0]) == 24


def test_classes_drawn_equally_often_have_equal_weights(
    options: MakeOptions, uneven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[dict[str, torch.Tensor]] = []
    prepare = AttributeTask.prepare

    def watched(self: AttributeTask, device: torch.device) -> None:
        found.append(self.class_weights)
        prepare(self, device)

    monkeypatch.setattr(AttributeTask, "prepare", watched)
    for balance in ("gender", None):
        given = options(attribute=("gender",), train_list=uneven, balance=balance, epochs=1)
        train(TrainOptions(**{**vars(given), "output": uneven.parent / f"run-{balance}"}))
    assert [weights["gender"].tolist() for weights in found] == [[1, 1], [1, 13]]


def test_an_attribute_that_is_not_trained_is_refused(options: MakeOptions) -> None:
    with pytest.raises(UsageError, match="--balance race: this run trains gender, age only"):
        train(options(attribute=("gender", "age"), balance="race"))
