"""Runs that go on with other batches, rates or images than they began with, and runs that are finished."""

from __future__ import annotations

import math
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from face_analysis.errors import FinishedRunError, InterruptedRunError, ModelMismatchError, UsageError
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.tasks.attributes import AttributeTask
from face_analysis.training.tasks.recognition import RecognitionTask
from tests.training.runs import column, content, rows, same, saved, saved_weights, signals

MakeOptions = Callable[..., TrainOptions]
AtStep = Callable[[int, Callable[[], None]], None]
IMAGES = 24


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, list[int]]]]:
    """Epoch and images of each batch that a run learns from, in their order."""
    batches: list[tuple[int, list[int]]] = []
    for task in (AttributeTask, RecognitionTask):
        step = task.loss

        def watched(self: Any, batch: Any, step: Any = step) -> object:
            batches.append((self.at.epoch, batch.indices.tolist()))
            return step(self, batch)

        monkeypatch.setattr(task, "loss", watched)
    return batches


@pytest.fixture
def broken_off(at_step: AtStep) -> Callable[[TrainOptions, int], None]:
    """Trains up to the end of a step."""

    def run(options: TrainOptions, step: int) -> None:
        once = iter([signals(signal.SIGTERM)])  # a step may have several batches
        at_step(step, lambda: next(once, signals())())
        with pytest.raises(InterruptedRunError):
            train(options)
        at_step(-1, signals())

    return run


def images_by_epoch(seen: list[tuple[int, list[int]]]) -> dict[int, Counter[int]]:
    found: dict[int, Counter[int]] = {}
    for epoch, images in seen:
        found.setdefault(epoch, Counter()).update(images)
    return found


@pytest.mark.parametrize(
    ("first", "step", "then"),
    [
        ({"batch_size": 4}, 4, {"batch_size": 12}),
        ({"batch_size": 4}, 4, {"batch_size": 3}),
        ({"batch_size": 4}, 0, {"batch_size": 10}),
        ({"batch_size": 10}, 1, {"batch_size": 7}),
        ({"batch_size": 7}, 2, {"batch_size": 24}),
        ({"batch_size": 4}, 2, {"batch_size": 100}),
        ({"batch_size": 4}, 5, {"batch_size": 6}),  # stopped at the end of the epoch
        ({"batch_size": 4}, 8, {"batch_size": 6}),  # in the second epoch
        ({"batch_size": 4}, 3, {"batch_size": 12, "accumulate": 3}),
        ({"batch_size": 8, "accumulate": 4}, 1, {"batch_size": 8}),
        ({"batch_size": 8, "accumulate": 2}, 0, {"batch_size": 12, "accumulate": 2}),
        ({"batch_size": 6, "validations": 4}, 1, {"batch_size": 4, "validations": 2}),
    ],
)
def test_every_image_of_an_epoch_is_seen_once_whatever_the_batches_are_when_it_goes_on(
    options: MakeOptions,
    tmp_path: Path,
    seen: list[tuple[int, list[int]]],
    broken_off: Callable[[TrainOptions, int], None],
    first: dict[str, object],
    step: int,
    then: dict[str, object],
) -> None:
    broken_off(options(attribute=("gender",), **first), step)
    train(options(attribute=("gender",), resume=tmp_path / "run", **then))
    assert images_by_epoch(seen) == {0: Counter(range(IMAGES)), 1: Counter(range(IMAGES))}
    steps = [int(row["step"]) for row in rows(tmp_path / "run") if row["train_loss"]]
    assert steps == list(range(len(steps)))
    last_of_epoch = {int(row["epoch"]): row for row in rows(tmp_path / "run") if row["val_score"]}
    assert set(last_of_epoch) == {0, 1}
    assert int(rows(tmp_path / "run")[-1]["step"]) == saved(tmp_path / "run")["step"] - 1


@pytest.mark.parametrize("changes", [{"balance": "gender"}, {"epochs": 3}])
def test_a_balanced_or_longer_run_sees_in_other_batches_what_one_that_is_whole_does(
    options: MakeOptions,
    tmp_path: Path,
    seen: list[tuple[int, list[int]]],
    broken_off: Callable[[TrainOptions, int], None],
    changes: dict[str, object],
) -> None:
    train(options(attribute=("gender",), output=tmp_path / "whole", **changes))
    whole = images_by_epoch(seen)
    seen.clear()
    broken_off(options(attribute=("gender",), batch_size=4, **{**changes, "epochs": 2}), 7)
    train(options(attribute=("gender",), resume=tmp_path / "run", batch_size=9, **changes))
    assert images_by_epoch(seen) == whole


def test_a_resumed_run_reads_its_checkpoint_once(
    recognition: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recognition(epochs=1))
    read: list[str] = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda path, **words: read.append(path.name) or load(path, **words))
    train(recognition(epochs=2, resume=tmp_path / "run"))
    assert read == ["last.ckpt", "best.ckpt"]


def test_a_run_over_people_goes_on_with_those_not_yet_seen(
    recognition: MakeOptions,
    tmp_path: Path,
    seen: list[tuple[int, list[int]]],
    broken_off: Callable[[TrainOptions, int], None],
) -> None:
    broken_off(recognition(images_per_person=2, batch_size=4), 1)
    train(recognition(images_per_person=2, batch_size=10, resume=tmp_path / "run"))
    (kinds,) = {tuple(train_kinds(recognition()))}
    first = [kinds[row] for epoch, batch in seen for row in batch if epoch == 0]
    assert len(first) == 20
    assert Counter(first) == dict.fromkeys(range(10), 2)


def train_kinds(options: TrainOptions) -> list[int]:
    assert options.train_list is not None
    return [int(line.rsplit(" ", 1)[1]) for line in options.train_list.read_text().splitlines()]


def test_the_cosine_goes_on_where_the_images_are(
    options: MakeOptions, tmp_path: Path, broken_off: Callable[[TrainOptions, int], None]
) -> None:
    settings = {"attribute": ("gender",), "lr_cosine": True, "lr": 0.5, "epochs": 4}
    broken_off(options(batch_size=4, **settings), 8)  # 1.5 epochs of six steps
    train(options(batch_size=12, resume=tmp_path / "run", **settings))
    steps, warm = 8, 1.0  # of two an epoch; from the third on, in which the second half of epoch 1 is
    expected = [0.5 * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) for step in range(3, 8)]
    assert column(tmp_path / "run", "learning_rate")[9:] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "then", "expected"),
    [
        ({"lr_steps": (99,)}, {"lr": 0.3}, [0.02, 0.3, 0.3]),
        ({"lr_steps": (1,)}, {"lr": 0.3}, [0.02, 0.03, 0.03]),
        ({"lr_steps": (99,)}, {"lr_steps": (1, 2)}, [0.02, 0.002, 0.0002]),
        ({"lr_plateau": True}, {"lr": 0.3}, [0.02, 0.3, 0.3]),
        ({"lr_steps": (2,)}, {}, [0.02, 0.02, 0.002]),
    ],
)
def test_a_run_that_goes_on_has_the_learning_rates_it_is_told(
    options: MakeOptions,
    tmp_path: Path,
    settings: dict[str, object],
    then: dict[str, object],
    expected: list[float],
) -> None:
    given = {"attribute": ("gender",), "batch_size": 24, **settings}
    train(options(epochs=1, **given))
    train(options(epochs=3, resume=tmp_path / "run", **{**given, **then}))
    assert column(tmp_path / "run", "learning_rate") == pytest.approx(expected)


def test_weight_decay_and_momentum_are_those_told(options: MakeOptions, tmp_path: Path) -> None:
    train(options(epochs=1))
    train(options(epochs=2, resume=tmp_path / "run", weight_decay=0.25, momentum=0.5))
    groups = saved(tmp_path / "run")["optimizer"]["param_groups"]
    assert [(group["weight_decay"], group["momentum"]) for group in groups] == [
        (0.25, 0.5),
        (0, 0.5),
        (0.25, 0.5),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "seed 0, not 5"),
        ({"balance": "gender"}, "balance None, not gender"),
        ({"train_list": "fewer"}, "training images 24 with labels .*, not 20 with"),
    ],
)
def test_an_epoch_broken_off_does_not_go_on_in_another_order(
    options: MakeOptions,
    few: Path,
    tmp_path: Path,
    broken_off: Callable[[TrainOptions, int], None],
    changes: dict[str, Any],
    message: str,
) -> None:
    if "train_list" in changes:
        changes["train_list"] = tmp_path / "fewer.txt"
        changes["train_list"].write_text("".join(few.read_text().splitlines(keepends=True)[:20]))
    broken_off(options(attribute=("gender",)), 1)
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    with pytest.raises(ModelMismatchError, match=f"lies within an epoch.*{message}"):
        train(options(attribute=("gender",), resume=tmp_path / "run", **changes))
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before
    train(options(attribute=("gender",), resume=tmp_path / "run"))


def test_after_a_whole_epoch_other_images_are_taken_and_told(
    options: MakeOptions, few: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(options(epochs=1))
    fewer = tmp_path / "fewer.txt"
    fewer.write_text("".join(few.read_text().splitlines(keepends=True)[:20]))
    train(options(epochs=2, train_list=fewer, resume=tmp_path / "run"))
    assert "goes on with other training images than it began with" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"lr_cosine": True}, "schedule"), ({"ema": 0.9}, "ema"), ({"optimizer": "adamw"}, "optimizer")],
)
def test_settings_that_a_checkpoint_does_not_fit_are_refused(
    options: MakeOptions, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    train(options(epochs=1))
    with pytest.raises(ModelMismatchError, match=f"is a run of {message}"):
        train(options(resume=tmp_path / "run", **changes))


def test_a_scale_given_to_a_run_that_goes_on_is_the_one_it_has(
    recognition: MakeOptions, tmp_path: Path
) -> None:
    train(recognition(epochs=1))
    run = train(recognition(epochs=2, resume=tmp_path / "run", scale=8.0))
    assert float(run.plan.task.head.scale) == 8.0  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize("epochs", [1, 2])
def test_fewer_epochs_than_were_made_are_refused(
    options: MakeOptions,
    tmp_path: Path,
    broken_off: Callable[[TrainOptions, int], None],
    epochs: int,
) -> None:
    broken_off(options(epochs=4), 8 if epochs == 2 else 5)
    made = "2 epochs" if epochs == 2 else "1 epoch"
    with pytest.raises(UsageError, match=rf"--epochs {epochs}: .*has made {made} and a part of the next one"):
        train(options(epochs=epochs, resume=tmp_path / "run"))


def test_a_finished_run_says_so_and_stays_as_it_is(options: MakeOptions, tmp_path: Path) -> None:
    run = train(options())
    run.folder.weights.write_bytes(b"calibrated since")
    before = sorted((path, path.stat().st_mtime_ns) for path in run.folder.path.rglob("*"))
    with pytest.raises(FinishedRunError, match="finished run: 2 epochs of 2 made; its model is") as told:
        train(options(resume=run.folder.path))
    assert told.value.exit_code == 0
    with pytest.raises(UsageError, match=r"nothing to do in .*other"):
        train(options(resume=run.folder.path, output=tmp_path / "other"))
    with pytest.raises(UsageError, match=r"--epochs 1: .*has made 2 epochs;"):
        train(options(resume=run.folder.path, epochs=1))
    assert sorted((path, path.stat().st_mtime_ns) for path in run.folder.path.rglob("*")) == before


def test_a_run_killed_before_its_model_was_written_gives_its_best_network(
    options: MakeOptions, tmp_path: Path
) -> None:
    first = train(options())
    weights = saved_weights(tmp_path / "run")
    again = train(options(resume=tmp_path / "run"))
    assert same(dict(again.network.state_dict()), dict(first.network.state_dict()))
    assert same(saved_weights(tmp_path / "run"), weights)


def test_a_run_that_stopped_early_is_finished(options: MakeOptions, tmp_path: Path) -> None:
    given = {"attribute": ("gender",), "early_stop": True, "lr": 1e-9, "epochs": 50, "batch_size": 24}
    run = train(options(**given))
    run.folder.weights.write_bytes(b"")
    with pytest.raises(FinishedRunError, match=r"of 50 made, then stopped early.*`early_stop: false`"):
        train(options(resume=run.folder.path, **given))
    made = len(column(tmp_path / "run", "train_loss"))
    train(options(resume=run.folder.path, **{**given, "early_stop": False, "epochs": made + 2}))
    assert len(column(tmp_path / "run", "train_loss")) == made + 2


def test_scores_on_other_validation_images_are_not_compared(
    options: MakeOptions, few: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Training on half of the images: the rest is judged worse, by a score that no validation reaches."""
    given = {"attribute": ("gender",), "lr": 1e-9, "early_stop": True, "batch_size": 24}
    train(options(epochs=4, **given))
    lines = few.read_text().splitlines(keepends=True)
    run = train(options(epochs=9, resume=tmp_path / "run", **given))
    before = column(run.folder.path, "val_score")
    assert len(before) == before.index(max(before)) + 6 < 9  # stopped early, five validations after the best
    wrong = tmp_path / "wrong.txt"  # genders the other way round, so that the score is lower
    rows_of = [line.split(" ") for line in lines]
    wrong.write_text("".join(" ".join([p, race, str(1 - int(sex)), age]) for p, race, sex, age in rows_of))
    train(options(epochs=9, resume=run.folder.path, val_list=(str(wrong),), **{**given, "early_stop": False}))
    after = column(run.folder.path, "val_score")[len(before) :]
    best = content(run.folder.best)
    assert max(after) < max(before)
    assert "validated on other images than before" in caplog.text
    assert best["step"] == len(before) + 1 + after.index(max(after))
