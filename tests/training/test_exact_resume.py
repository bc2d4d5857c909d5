"""Runs killed without warning and taken up again, against undisturbed ones: the same to the last bit."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from face_analysis.training import callbacks
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.saving import background
from tests.training.runs import content, same, saved

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="to the last bit on the CPU")
MakeOptions = Callable[..., TrainOptions]
KILLS = 10
HOOKS = (
    "on_train_batch_start",
    "on_before_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_validation_end",
    "on_save_checkpoint",
)


class KillAt(callbacks.Progress):
    """Ends this process without warning once a given step has come to a given point."""

    step, hook = -1, ""


def _kill_there(hook: str) -> Callable[..., None]:
    def call(self: KillAt, trainer: Any, *rest: Any) -> None:
        if hook == self.hook and trainer.global_step >= self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    return call


for _hook in HOOKS:
    setattr(KillAt, _hook, _kill_there(_hook))


def train_apart(options: TrainOptions, step: int, hook: str) -> None:
    """Train in a process of its own, that is killed at the step."""
    KillAt.step, KillAt.hook = step, hook
    train(options)


def killed(options: TrainOptions, step: int, hook: str) -> bool:
    """Whether the run came to the step."""
    process = multiprocessing.get_context("fork").Process(target=train_apart, args=(options, step, hook))
    process.start()
    process.join()  # with a time limit it would wait for the orphaned workers too
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.slow
@pytest.mark.parametrize("task", ["attributes", "recognition"])
def test_a_run_killed_ten_times_ends_as_an_undisturbed_one(
    options: MakeOptions,
    recognition: MakeOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
) -> None:
    """Without workers and with two in turn."""
    make = options if task == "attributes" else recognition
    settings = {"epochs": 8, "validations": 2, "save_every": 3, "jitter": 0.5, "dropout": 0.3}
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(make(output=whole, **settings))
    last_step = int(saved(whole)["global_step"]) - 1
    monkeypatch.setattr("face_analysis.training.trainer.Progress", KillAt)
    draw = random.Random(task)
    for number in range(KILLS):
        begun = list((run / "checkpoints").glob("[!.]*"))
        done = max((int(content(path)["global_step"]) for path in begun), default=0)
        step = min(done + draw.randrange(6), last_step)
        resume = {"resume": run} if begun else {"overwrite": True}
        assert killed(make(workers=number % 2 * 2, **resume, **settings), step, draw.choice(HOOKS))
    train(make(workers=2, resume=run, **settings))
    assert (run / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    for part in ("state_dict", "optimizer_states", "classes"):
        assert same(saved(run).get(part), saved(whole).get(part))


def test_a_kill_in_the_middle_of_a_write_leaves_the_checkpoint_before_it(
    options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(options(epochs=1))
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()

    def killed_half_way(content: object, file: BinaryIO) -> None:
        file.write(before[: len(before) // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(background.torch, "save", killed_half_way)
    assert killed(options(resume=tmp_path / "run"), 10**9, HOOKS[0])
    monkeypatch.undo()
    folder = tmp_path / "run" / "checkpoints"
    assert (folder / "last.ckpt").read_bytes() == before
    assert list(folder.glob(".*.partial"))
    train(options(resume=tmp_path / "run"))
    assert not list(folder.glob(".*"))
    train(options(output=tmp_path / "whole"))
    assert same(saved(tmp_path / "run")["state_dict"], saved(tmp_path / "whole")["state_dict"])
