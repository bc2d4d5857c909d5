"""Every command line and Python block of README.md and docs/ runs as it stands there, on small made data.

A page is read from top to bottom in one folder, as a reader would. What its commands read and none of them
has made before comes from `world.py`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.markdown import FILES, ROOT, Block, blocks_of
from tests.docs.world import SMALL, WORLD

EXEMPT = {
    r"make (demo|test|lint|bench)": "the demo has a test of its own, and the others would run these tests",
    r"pip install ": "would change the environment that the tests run in",
    r"torchrun --nnodes|srun ": "needs several machines; its words are parsed in test_options.py",
    r"#!|#SBATCH|first=|resume=": "lines of a script for a cluster's queue",
}
REWRITES = {
    (r"^(face-analysis train .*)", rf"\1 {SMALL}"): "a training of minutes to days becomes one of seconds",
    (r"--devices 8", "--devices 2"): "the machine need not have eight processors",
}
OUTPUTS = {"-d", "--dest", "-o", "--output", "--annotate"}
PAGES = [file for file in FILES if any(True for _ in blocks_of(file))]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of the world are kept, each made when it is first asked for."""
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With a `face-analysis` that is this checkout's."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "face-analysis"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m face_analysis "$@"\n')
    command.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def exempt(line: str) -> bool:
    return any(re.match(pattern, line) for pattern in EXEMPT)


def rewritten(line: str) -> str:
    line = re.sub(r"\s+#.*", "", line)
    for pattern, replacement in REWRITES:
        line = re.sub(pattern, replacement, line)
    return line


def needed(blocks: list[Block]) -> Iterator[str]:
    """The names of the world that the blocks read before a command has made them."""
    there: set[str] = set()
    for block in blocks:
        if block.python:
            yield from (name for name in re.findall(r"[\w.]+", block.text) if name in WORLD.keys() - there)
            continue
        for _, line in block.commands:
            words = shlex.split(line, comments=True)
            outputs = {word for flag, word in pairwise(words) if flag in OUTPUTS}
            if words[:2] == ["face-analysis", "align"]:
                outputs.add(words[3])
            names = {word.split("/")[0] for word in words if word not in outputs}
            yield from (names & WORLD.keys()) - there
            there |= {word.split("/")[0] for word in outputs}


def prepare(blocks: list[Block], made: Path, folder: Path) -> None:
    for name in set(needed(blocks)):
        place = made / name
        if not place.exists():
            place.mkdir()
            WORLD[name](place / name)
        shutil.copytree(place, folder, dirs_exist_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_of_a_page_runs(
    file: Path, made: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    blocks = list(blocks_of(file))
    prepare(blocks, made, tmp_path)
    for block in blocks:
        if block.python:
            run(f"{file}:{block.line}", [sys.executable, "-c", block.text], tmp_path, environment)
            continue
        for number, line in block.commands:
            if not exempt(line):
                run(f"{file}:{number}", ["bash", "-c", rewritten(line)], tmp_path, environment)


def run(place: str, words: list[str], folder: Path, environment: dict[str, str]) -> None:
    result = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, f"{place}: {words[-1]}\n{result.stdout}\n{result.stderr}"
