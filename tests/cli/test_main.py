from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from face_analysis import __version__
from face_analysis.cli.commands import COMMANDS, OPTIONS
from tests.cli.command_words import table_of
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]


def python(*words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m face_analysis` with these words in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "face_analysis", *words], capture_output=True, check=False, **options
    )


@pytest.mark.parametrize("command", OPTIONS)
def test_help_tells_every_option_without_loading_torch(command: str) -> None:
    code = (
        "import sys; from face_analysis.cli.main import run\n"
        f"try: run([*{command.split()}, '--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--config" in result.stdout
    for option in table_of(command).values():
        assert all(flag in result.stdout for flag in option.flags)
    assert "<class" not in result.stdout


def test_the_overview_names_every_command_and_how_to_begin(run: Run) -> None:
    status, out, err = run("")
    assert (status, out) == (2, "")
    assert all(f"\n  {name} " in err for name in COMMANDS)
    status, out, _ = run("--help")
    assert status == 0
    assert out.strip() == err.strip()
    assert "face-analysis predict photo.jpg" in out
    assert len(out.splitlines()) <= 40
    assert max(map(len, out.splitlines())) <= 110


def test_python_m_is_the_command() -> None:
    assert python("--version").stdout.decode().strip() == __version__
    result = python("models", "list")
    assert result.returncode == 0
    assert b"sface" in result.stdout


def test_a_configuration_written_by_a_run_starts_it_again(run: Run, patterns: Path, tmp_path: Path) -> None:
    words = "--depth 18 --width 0.125 -e 1 -b 30 -w 0 --validations 1"
    data = f"-t {patterns} -ts {patterns.parent} -v {patterns} -vs {patterns.parent}"
    assert run(f"train -a gender {data} {words} -o {tmp_path}/a")[0] == 0
    assert run(f"train --config {tmp_path}/a/config.yaml -o {tmp_path}/b")[0] == 0
    first, second = ((tmp_path / name / "config.yaml").read_text().splitlines() for name in "ab")
    assert first == second  # a run's own folder is no setting
    assert (tmp_path / "a/model.safetensors").stat().st_size == (
        tmp_path / "b/model.safetensors"
    ).stat().st_size
