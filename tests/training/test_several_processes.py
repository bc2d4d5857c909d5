"""Runs of real processes under torchrun against the same run in one.

In float64: in float32 the rounding of different batch sizes alone grows past 1e-5 within a few steps.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.training.runs import column, saved, saved_weights

pytestmark = pytest.mark.slow
EITHER = (
    "--preset original --depth 18 --width 0.125 --embedding_size 32 --validations 1 -w 0 --precision 64-true "
    "--lr_steps 99"
)
RECOGNITION = "-a recognition --sync_batchnorm --dropout 0 -b 9 --lr 0.02 --head cosface --scale 16"
ATTRIBUTES = "-a race gender age --sync_batchnorm --dropout 0.4 --jitter 0.5 -b 6 --lr 0.05"


def run_command(words: str, processes: int = 1, code: int = 0) -> str:
    done = subprocess.run(
        command(f"{words} --devices {processes}"),
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def command(words: str) -> list[str]:
    return [sys.executable, "-m", "face_analysis.cli.main", "train", *EITHER.split(), *words.split()]


def train(people: Path, sets: Path, run: Path, more: str, processes: int = 1, code: int = 0) -> str:
    words = f"{RECOGNITION} -t {people} -vs {sets} -v one two -o {run} {more}"
    return run_command(words, processes, code)


def train_attributes(images: Path, run: Path, more: str, processes: int = 1, code: int = 0) -> str:
    return run_command(f"{ATTRIBUTES} -t {images} -v {images} -o {run} {more}", processes, code)


def test_two_processes_learn_what_one_does_for_fifty_steps(people: Path, sets: Path, tmp_path: Path) -> None:
    train(people, sets, tmp_path / "one", "-e 10")
    train(people, sets, tmp_path / "two", "-e 10", processes=2)
    one, two = (column(tmp_path / run, "train_loss") for run in ("one", "two"))
    assert len(one) == 50
    assert two == pytest.approx(one, abs=1e-5)
    assert column(tmp_path / "two", "val_score") == column(tmp_path / "one", "val_score")
    assert (tmp_path / "two" / "model.safetensors").is_file()


@pytest.mark.parametrize("processes", [1, 3])
def test_a_run_of_two_goes_on_with_one_and_with_three(
    people: Path, sets: Path, tmp_path: Path, processes: int
) -> None:
    train(people, sets, tmp_path / "whole", "-e 4")
    train(people, sets, tmp_path / "run", "-e 2", processes=2)
    train(people, sets, tmp_path / "run", f"-e 4 --resume {tmp_path}/run", processes=processes)
    whole, found = (column(tmp_path / run, "train_loss") for run in ("whole", "run"))
    assert len(found) == 20
    assert found == pytest.approx(whole, abs=1e-5)
    whole_weights, weights = saved_weights(tmp_path / "whole"), saved_weights(tmp_path / "run")
    assert weights.keys() == whole_weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, whole_weights[name], rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def undisturbed(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty steps of attributes in one process."""
    run = tmp_path_factory.mktemp("undisturbed")
    train_attributes(few, run, "-e 5")
    return run


@pytest.fixture(scope="module")
def begun_by_two(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight steps of the same in two processes."""
    run = tmp_path_factory.mktemp("begun")
    train_attributes(few, run, "-e 2", processes=2)
    return run


def test_two_processes_learn_the_attributes_that_one_does(
    few: Path, undisturbed: Path, tmp_path: Path
) -> None:
    train_attributes(few, tmp_path, "-e 5", processes=2)
    for name in ("train_loss", "train_loss_race", "train_loss_gender", "train_loss_age"):
        assert len(column(tmp_path, name)) == 20
        assert column(tmp_path, name) == pytest.approx(column(undisturbed, name), abs=1e-5)
    assert column(tmp_path, "val_score") == pytest.approx(column(undisturbed, "val_score"))


@pytest.mark.parametrize("processes", [1, 3])
def test_attributes_learnt_by_two_go_on_with_one_and_with_three(
    few: Path, undisturbed: Path, begun_by_two: Path, tmp_path: Path, processes: int
) -> None:
    run = shutil.copytree(begun_by_two, tmp_path / "run")
    train_attributes(few, run, f"-e 5 --resume {run}", processes)
    assert len(column(run, "train_loss")) == 20
    assert column(run, "train_loss") == pytest.approx(column(undisturbed, "train_loss"), abs=1e-5)
    expected = saved_weights(undisturbed)
    for name, tensor in saved_weights(run).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-6, atol=1e-6)


def test_mixing_clipping_and_computing_again_are_those_of_all_processes(few: Path, tmp_path: Path) -> None:
    more = "-e 3 --mixup 0.4 --clip 0.5 --optimizer adamw --lr 0.002 --layer_decay 0.8 --checkpointing"
    for run, processes in (("one", 1), ("two", 2)):
        train_attributes(few, tmp_path / run, more, processes)
    one, two = (column(tmp_path / run, "train_loss") for run in ("one", "two"))
    assert len(one) == 12
    assert two == pytest.approx(one, abs=1e-5)


def test_processes_without_a_readable_image_change_no_loss(few: Path, tmp_path: Path) -> None:
    """Each process gets three images a step: in some steps it has one or none that can be read."""
    lines = few.read_text().splitlines()[:6]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{line}\n" for line in [*lines, *[f"{broken} 1 1 30"] * 12]))
    for run, processes in (("one", 1), ("two", 2)):
        train_attributes(listed, tmp_path / run, "-e 3 -b 6", processes, code=1)
    one, two = (column(tmp_path / run, "train_loss") for run in ("one", "two"))
    assert two == pytest.approx(one, abs=1e-5)


@pytest.mark.parametrize("head", ["adacos", "adaface", "magface", "curricularface"])
def test_heads_that_follow_the_training_follow_that_of_all_processes(
    people: Path, sets: Path, tmp_path: Path, head: str
) -> None:
    scale = "--scale null" if head == "adacos" else "--scale 16"
    for run, processes in (("one", 1), ("two", 2)):
        train(people, sets, tmp_path / run, f"-e 1 --head {head} {scale}", processes)
    one, two = (column(tmp_path / run, "train_loss") for run in ("one", "two"))
    assert two == pytest.approx(one, abs=1e-5)


def test_an_unreadable_image_of_any_process_is_recorded_once(
    people: Path, sets: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "list.txt"
    broken = [tmp_path / f"{number}.jpg" for number in range(6)]
    for path in broken:
        path.write_bytes(b"\xff\xd8\xff")
    listed.write_text(people.read_text() + "".join(f"{path} 1\n" for path in broken))
    train(listed, sets, tmp_path / "run", "-e 2 -b 3", processes=2, code=1)
    with (tmp_path / "run" / "errors.csv").open(newline="") as file:
        assert sorted(row["path"] for row in csv.DictReader(file)) == sorted(map(str, broken))


def test_a_signal_stops_all_processes_and_the_run_goes_on(people: Path, sets: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = f"{RECOGNITION} -t {people} -vs {sets} -v one two -o {run} -e 200 --devices 2"
    process = subprocess.Popen(
        command(words),
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (run / "metrics.csv").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode != 0
    steps = int(saved(run)["step"])
    assert 0 < steps < 1000
    train(people, sets, run, f"-e {steps // 5 + 1} --resume {run}")
    assert len(column(run, "train_loss")) == 5 * (steps // 5 + 1)
