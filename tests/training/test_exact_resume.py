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

from face_analysis.training.loop import TrainingLoop
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.saving import background
from tests.training.runs import content, same, saved

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="to the last bit on the CPU")
MakeOptions = Callable[..., TrainOptions]
KILLS = 10
POINTS = ("_train_part", "_backward", "_step", "_note", "_read", "_rest", "_validate", "_content", "_save")
"""Methods of the loop before and after which a run is killed."""


def train_apart(options: TrainOptions, step: int, point: str, after: bool) -> None:
    """Train in a process of its own, that is killed at a point of the step."""
    method = getattr(TrainingLoop, point)

    def killed(self: TrainingLoop, *arguments: Any, **more: Any) -> Any:
        result = method(self, *arguments, **more) if after else None
        if self.at.step >= step:
            os.kill(os.getpid(), signal.SIGKILL)
        return result if after else method(self, *arguments, **more)

    setattr(TrainingLoop, point, killed)
    train(options)


def killed(options: TrainOptions, step: int, point: str, *, after: bool) -> bool:
    """Whether the run came to the step."""
    arguments = (options, step, point, after)
    process = multiprocessing.get_context("fork").Process(target=train_apart, args=arguments)
    process.start()
    process.join()  # with a time limit it would wait for the orphaned workers too
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize("task", ["attributes", "recognition"])
def test_a_run_killed_ten_times_ends_as_an_undisturbed_one(
    options: MakeOptions,
    recognition: MakeOptions,
    tmp_path: Path,
    task: str,
) -> None:
    """Without workers and with two in turn."""
    make = options if task == "attributes" else recognition
    settings = {"epochs": 8, "validations": 2, "save_every": 3, "jitter": 0.5, "dropout": 0.3}
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(make(output=whole, **settings))
    last_step = int(saved(whole)["step"]) - 1
    draw = random.Random(task)
    for number in range(KILLS):
        begun = list((run / "checkpoints").glob("[!.]*"))
        done = max((int(content(path)["step"]) for path in begun), default=0)
        step = min(done + draw.randrange(6), last_step)
        resume = {"resume": run} if begun else {"overwrite": True}
        assert killed(
            make(workers=number % 2 * 2, **resume, **settings),
            step,
            draw.choice(POINTS),
            after=draw.random() < 0.5,
        )
    train(make(workers=2, resume=run, **settings))
    assert (run / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    for part in ("state_dict", "optimizer", "classes"):
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
    assert killed(options(resume=tmp_path / "run"), 10**9, POINTS[0], after=False)
    monkeypatch.undo()
    folder = tmp_path / "run" / "checkpoints"
    assert (folder / "last.ckpt").read_bytes() == before
    assert list(folder.glob(".*.partial"))
    train(options(resume=tmp_path / "run"))
    assert not list(folder.glob(".*"))
    train(options(output=tmp_path / "whole"))
    assert same(saved(tmp_path / "run")["state_dict"], saved(tmp_path / "whole")["state_dict"])
