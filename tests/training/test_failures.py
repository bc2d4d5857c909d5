"""What goes wrong in a run: what it says, how it ends, what it keeps, and that it can go on from there."""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from face_analysis.errors import (
    DeadProcessError,
    EmptyDataError,
    InterruptedRunError,
    NonFiniteLossError,
    WriteError,
)
from face_analysis.losses.age import AGE_LOSSES
from face_analysis.training.launch import watched_processes
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from tests.training.runs import rows, same, saved, signals

MakeOptions = Callable[..., TrainOptions]


def require_equal(run: Path, whole: Path) -> None:
    """The same rows in the log and the same weights."""
    assert (run / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert same(saved(run)["state_dict"], saved(whole)["state_dict"])


@pytest.mark.parametrize(
    ("validations", "step", "number"),
    [
        (1, 0, signal.SIGTERM),
        (1, 3, signal.SIGTERM),  # the last step of the first epoch
        (1, 5, signal.SIGINT),
        (1, 7, signal.SIGINT),  # the last step of all
        (2, 1, signal.SIGTERM),  # a validation in mid-epoch is due
        (2, 2, signal.SIGTERM),
    ],
)
def test_a_run_stopped_by_a_signal_and_resumed_ends_as_if_it_had_not_been(
    options: MakeOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_step: Callable[[int, Callable[[], None]], None],
    validations: int,
    step: int,
    number: signal.Signals,
) -> None:
    train(options(output=tmp_path / "whole", validations=validations))
    at_step(step, signals(number))
    with pytest.raises(InterruptedRunError, match=r"at step \d; saved .*--resume") as stopped:
        train(options(validations=validations))
    assert stopped.value.exit_code == 128 + number
    monkeypatch.undo()
    train(options(resume=tmp_path / "run", validations=validations))
    require_equal(tmp_path / "run", tmp_path / "whole")


def test_the_bar_of_a_resumed_run_begins_at_the_step_where_it_goes_on(
    options: MakeOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_step: Callable[[int, Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    at_step(5, signals(signal.SIGTERM))
    with pytest.raises(InterruptedRunError):
        train(options())
    monkeypatch.undo()
    capsys.readouterr()
    train(options(resume=tmp_path / "run"))
    shown = [int(done) for done in re.findall(r"(\d+)/48 ", capsys.readouterr().err)]
    assert (shown[0], shown[-1]) == (36, 48)


def test_a_second_ctrl_c_ends_the_run_at_once_and_keeps_what_was_saved(
    options: MakeOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_step: Callable[[int, Callable[[], None]], None],
) -> None:
    train(options(output=tmp_path / "whole"))
    at_step(6, signals(signal.SIGINT, signal.SIGINT))
    with pytest.raises(InterruptedRunError, match="second signal; the last checkpoint is kept") as stopped:
        train(options(save_every=1))
    assert stopped.value.exit_code == 130
    assert saved(tmp_path / "run")["step"] == 6
    monkeypatch.undo()
    train(options(resume=tmp_path / "run"))
    require_equal(tmp_path / "run", tmp_path / "whole")


def test_signals_and_the_screen_are_given_back_when_a_run_fails(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    broken = replace(AGE_LOSSES["ordinal"], loss=lambda logits, ages: logits.sum() * math.nan)
    monkeypatch.setitem(AGE_LOSSES, "ordinal", broken)
    with pytest.raises(NonFiniteLossError):
        train(options())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_one_batch_without_a_finite_loss_stops_the_run_which_goes_on_without_it(
    options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(options(output=tmp_path / "whole"))
    ordinal, taken = AGE_LOSSES["ordinal"], []

    def broken_once(logits: Tensor, ages: Tensor) -> Tensor:
        taken.append(ages)
        return ordinal.loss(logits, ages) * (math.nan if len(taken) == 6 else 1)

    monkeypatch.setitem(AGE_LOSSES, "ordinal", replace(ordinal, loss=broken_once))
    message = r"step 5 \(epoch 1; .*age nan\), learning rate 0\.02, images .*patterns/.*\.jpg"
    with pytest.raises(NonFiniteLossError, match=message) as stopped:
        train(options(save_every=1))
    assert stopped.value.exit_code == 1
    assert saved(tmp_path / "run")["step"] == 5
    train(options(resume=tmp_path / "run"))
    require_equal(tmp_path / "run", tmp_path / "whole")


def test_unreadable_images_are_recorded_and_the_run_goes_on(
    options: MakeOptions, patterns: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.txt"
    (tmp_path / "cut.jpg").write_bytes((patterns.parent / "patterns/000003.jpg").read_bytes()[:700])
    good = [f"{patterns.parent}/{line}" for line in patterns.read_text().splitlines()[:10]]
    broken.write_text("\n".join([*good, f"{tmp_path}/cut.jpg 0 1 30", f"{tmp_path}/none.jpg 1 0 20"]) + "\n")
    run = train(options(train_source=None, train_list=broken, epochs=2))
    assert run.failures.report() == 1
    with (tmp_path / "run" / "errors.csv").open(newline="") as file:
        recorded = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(recorded) == {f"{tmp_path}/cut.jpg", f"{tmp_path}/none.jpg"}
    assert "No such file" in recorded[f"{tmp_path}/none.jpg"]


@pytest.mark.parametrize("side", ["train", "val"])
def test_a_list_with_a_folder_that_is_not_its_own_is_refused_before_anything_is_written(
    options: MakeOptions, patterns: Path, tmp_path: Path, side: str
) -> None:
    image_list = patterns if side == "train" else (str(patterns),)
    with pytest.raises(EmptyDataError, match=r"(?s)none of 8 images tried can be read.*No such file"):
        train(options(**{f"{side}_source": tmp_path, f"{side}_list": image_list}))
    assert not (tmp_path / "run").exists()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that has no more room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_stops_the_run_which_goes_on_from_the_checkpoint_before(
    options: MakeOptions, tmp_path: Path
) -> None:
    train(options(output=tmp_path / "whole", epochs=3))
    train(options(epochs=1))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    with (
        files_of_at_most(len(before) // 2),
        pytest.raises(WriteError, match=r"cannot write .*last\.ckpt: File too large; free space") as stopped,
    ):
        train(options(epochs=3, resume=tmp_path / "run", save_every=1))
    assert stopped.value.exit_code == 1
    assert last.read_bytes() == before
    assert not list(last.parent.glob(".*"))
    train(options(epochs=3, resume=tmp_path / "run"))
    require_equal(tmp_path / "run", tmp_path / "whole")


def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(options: MakeOptions) -> None:
    with pytest.raises(WriteError, match="cannot write /sys/run: ") as stopped:
        train(options(output=Path("/sys/run")))
    assert stopped.value.exit_code == 1


def test_loading_processes_that_die_stop_the_run_which_goes_on_from_the_last_checkpoint(
    options: MakeOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_step: Callable[[int, Callable[[], None]], None],
) -> None:
    def kill_loaders() -> None:
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()

    # Twelve steps an epoch: more than are loaded ahead, so that the dead are missed before it ends.
    train(options(output=tmp_path / "whole", batch_size=2))
    at_step(13, kill_loaders)
    with pytest.raises(
        DeadProcessError, match=r"loads images has died .*--resume, and with fewer --workers"
    ) as stopped:
        train(options(batch_size=2, workers=2))
    assert stopped.value.exit_code == 1
    assert saved(tmp_path / "run")["step"] == 12
    monkeypatch.undo()
    train(options(batch_size=2, resume=tmp_path / "run"))
    require_equal(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "reset by peer"), ConnectionRefusedError(), EOFError()]
)
def test_a_loading_process_that_dies_while_it_hands_over_a_batch_is_named(error: Exception) -> None:
    with pytest.raises(DeadProcessError, match="a process that loads images has died"), watched_processes():
        raise error


@pytest.mark.slow
def test_when_one_of_several_processes_dies_all_end_and_the_run_goes_on(few: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = (
        f"train -a gender -t {few} -v {few} -o {run} --depth 18 --width 0.125 -b 6 -w 0 --validations 1 "
        "--save_every 1 --precision 64-true"
    )
    command = [sys.executable, "-m", "face_analysis.cli.main", *words.split()]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen([*command, "--devices", "2", "-e", "500"], stderr=said)
    last, deadline = run / "checkpoints" / "last.ckpt", time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    assert process.wait(timeout=120) == 1
    said_by_the_other = (tmp_path / "said").read_text()
    assert "train: another process of this run does not answer" in said_by_the_other
    assert "[rank0]" not in said_by_the_other  # before each line of a traceback
    steps = int(saved(run)["step"])
    assert 0 < steps < 2000
    subprocess.run([*command, "--resume", str(run), "-e", str(steps // 4 + 1)], check=True, timeout=120)
    logged = [int(row["step"]) for row in rows(run) if row["train_loss"]]
    assert logged == list(range(4 * (steps // 4 + 1)))


def test_the_weights_learnt_are_finite_though_a_batch_has_no_readable_image(
    options: MakeOptions, few: Path, tmp_path: Path
) -> None:
    broken = [tmp_path / f"{number}.jpg" for number in range(18)]
    for path in broken:
        path.write_bytes(b"\xff\xd8\xff")
    listed = tmp_path / "list.txt"
    listed.write_text(
        few.read_text()[: few.read_text().index("\n") + 1] + "".join(f"{p} 1 1 30\n" for p in broken)
    )
    run = train(options(train_list=listed, epochs=1, batch_size=4))
    assert len(run.failures) == 18
    assert all(torch.isfinite(value).all() for value in saved(tmp_path / "run")["state_dict"].values())
