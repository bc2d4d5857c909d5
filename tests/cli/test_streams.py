"""What commands print to, and names that not every stream takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from face_analysis.datasets.synthetic import write_people
from tests.cli.test_main import python


def test_a_reader_that_goes_away_causes_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        for words in (["models", "list"], ["--help"], ["predict", "--help"]):
            command = [sys.executable, "-m", "face_analysis", *words]
            result = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
            assert result.returncode in (0, 1)
            assert result.stderr == b""


def test_a_reader_that_goes_away_takes_no_file_of_a_split(patterns: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "face_analysis", "annotations", "split", str(patterns), "-d"]
    with os.fdopen(writer, "wb") as closed:
        result = subprocess.run(
            [*command, str(tmp_path / "out")], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (result.returncode, result.stderr) == (1, b"")
    assert {path.name for path in (tmp_path / "out").glob("*.csv")} == {"train.csv", "val.csv", "test.csv"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_under_stdout_is_said_in_a_line() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "face_analysis", "models", "list"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "face-analysis models: writing: No space left on device\n"


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_names_that_are_not_utf8_are_printed(photos: Path, tmp_path: Path, encoding: str) -> None:
    name = b"\xff\xe9.jpg"
    shutil.copy(photos / "hopper.jpg", os.fsencode(tmp_path) + b"/" + name)
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    layout = () if encoding.startswith("ascii") else ("--format", "csv")
    result = python("predict", os.fsdecode(name), *layout, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith(name if layout else rb"\udcff\udce9.jpg: face at")


SEVERAL = """
import os, sys
from face_analysis.cli.main import main
for line in sys.stdin.buffer.read().split(b"\\n"):
    words = [os.fsdecode(word) for word in line.split(b"\\0")]
    status = main(words)
    assert status == 0, (status, words)
"""
CHIPS = ("--aligned", "--precision", "32-true", "--threads", "1")
NAMES = (
    b"predicted",
    b"e",
    b"features",
    b"match",
    b"report",
    b"search",
    b"audit",
    b"counts",
    b"list",
    b"packed",
)
ENVIRONMENTS = {
    "utf-8": {"PYTHONIOENCODING": "utf-8:strict"},
    "ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENVIRONMENTS)
def test_every_kind_of_command_takes_and_prints_a_folder_whose_name_is_not_utf8(
    tmp_path: Path, encoding: str
) -> None:
    folder = tmp_path / os.fsdecode(b"n\xff \xc3\xa9$x_{")
    listed = write_people(folder / os.fsdecode(b"p\xff"), 3, 2, seed=1)
    source, made = str(listed.parent), {name: str(folder / os.fsdecode(name + b"\xfe")) for name in NAMES}
    commands = [
        ["predict", source, *CHIPS],
        ["predict", "-s", source, "-i", str(listed), "-d", made[b"predicted"], *CHIPS],
        [
            "evaluate",
            "-p",
            made[b"predicted"] + "/people_predictions.csv",
            "-l",
            str(listed),
            "-d",
            made[b"e"],
        ],
        ["extract", "-s", source, "-i", str(listed), "-d", made[b"features"], *CHIPS],
        ["match", made[b"features"], "-o", made[b"match"], "--group", "gender", "--fmr", "0.5"],
        ["report", made[b"match"], "-d", made[b"report"]],
        ["search", made[b"features"], made[b"features"], "-o", made[b"search"]],
        ["audit", str(listed), "-s", source, "-d", made[b"audit"]],
        ["annotations", "count", str(listed), "-d", made[b"counts"]],
        ["annotations", "folder", "-s", source, "-d", made[b"list"]],
        ["pack", "-s", source, "-d", made[b"packed"]],
        ["pack", "verify", made[b"packed"] + os.fsdecode(b"/p\xff.lmdb")],
    ]
    result = subprocess.run(
        [sys.executable, "-c", SEVERAL],
        input=b"\n".join(b"\0".join(map(os.fsencode, words)) for words in commands),
        capture_output=True,
        check=False,
        env=os.environ | ENVIRONMENTS[encoding],
    )
    assert result.returncode == 0, result.stderr
    assert b"Traceback" not in result.stderr
    shown = rb"p\udcff.lmdb: whole, 6 images" if encoding != "utf-8" else b"p\xff.lmdb: whole, 6 images"
    assert result.stdout.rstrip().endswith(shown)


@pytest.mark.slow
def test_a_name_that_a_library_cannot_take_is_named(tmp_path: Path, patterns: Path) -> None:
    run = tmp_path / os.fsdecode(b"r\xff")
    words = f"train -a race -t {patterns} -ts {patterns.parent} --depth 18 --width 0.125 -e 1 -w 0"
    data = f"-v {patterns} -vs {patterns.parent} --precision 32-true --threads 1"
    result = python(*words.split(), *data.split(), "-o", str(run))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith(b"is not utf-8: rename the file or folder")
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stdout_or_stderr_is_no_failure(photos: Path, tmp_path: Path, closed: str) -> None:
    words = f"predict {photos}/hopper.jpg --annotate {tmp_path}/copies"
    command = f"{sys.executable} -m face_analysis {words} {closed}"
    result = subprocess.run(command, shell=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    assert b"Traceback" not in result.stderr
    assert len(list((tmp_path / "copies").rglob("hopper.jpg"))) == 1


def test_links_that_lead_in_a_circle_are_said_so(tmp_path: Path, patterns: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for words in (f"-d {tmp_path}/loop/out", f"-d {tmp_path}/out --config {tmp_path}/loop"):
        result = python("predict", "-s", str(patterns.parent), *words.split(), "--aligned")
        assert result.returncode in (1, 2)
        assert b"Traceback" not in result.stderr
        assert b"loop" in result.stderr.splitlines()[-1]
