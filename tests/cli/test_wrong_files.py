"""What is no file for a command: pipes, devices, and files that are far too large."""

from __future__ import annotations

import os
import signal
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from face_analysis.cli.commands import OPTIONS
from tests.cli.command_words import needed_words, table_of
from tests.cli.conftest import Run

PATHS = [
    (command, name)
    for command in OPTIONS
    for name, option in table_of(command).items()
    if option.kind is Path and command.split()[0] != "feature_match"
]
LARGE = {
    "list": "predict -s {patterns} -i {file} -d {out}",
    "lists": "annotations count {file}",
    "groups": "annotations split {list} -d {out} --by group --groups {file}",
    "predictions": "evaluate -p {file} -l {list} -d {out}",
    "JSON Lines": "evaluate -p {file}.jsonl -l {list} -d {out}",
    "options": "predict {patterns} --config {file}",
    "photo": "predict {file}.jpg",
    "mask": "pack -l {list} -s {patterns} -a race -ms {masks} -d {out}/p.lmdb",
}


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Fail where a command waits for a pipe."""

    def late(*_: object) -> None:
        raise AssertionError("the command waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(("command", "option"), [*PATHS, ("predict", "config")])
def test_a_pipe_and_a_device_are_refused_by_every_option_that_takes_a_path(
    run: Run, tmp_path: Path, command: str, option: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    table = table_of(command)
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        flags = [word for word in needed_words(command, without=option) if word.startswith("--")]
        words = [str(path) if name == option else "path" for name in table if table[name].opt.positional]
        given = [] if str(path) in words else [f"--{option}={path}"]
        status, out, err = run([*command.split(), *words, *flags, *given])
        assert (status, out) == (2, "")
        assert f"{path} is a pipe, socket or device; give a file or a folder" in err


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("kind", LARGE)
def test_a_file_of_three_gigabytes_is_refused_before_it_is_read(
    run: Run, patterns: Path, tmp_path: Path, kind: str
) -> None:
    names = [line.split()[0] for line in patterns.read_text().splitlines()]
    masks = [tmp_path / "masks" / f"{name.removesuffix('.jpg')}_mask.png" for name in names]
    masks[0].parent.mkdir(parents=True)
    for path in (tmp_path / "file", tmp_path / "file.jsonl", tmp_path / "file.jpg", *masks):
        with path.open("wb") as file:
            file.truncate(3 * 2**30)
    places = {"list": patterns, "patterns": patterns.parent, "masks": tmp_path / "masks"}
    words = LARGE[kind].format(**places, file=tmp_path / "file", out=tmp_path / "out")
    tracemalloc.start()
    try:
        status, _, err = run(words)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status in (1, 2)
    assert "limit" in err or "unknown kind" in err
    assert peak < 200 * 2**20
