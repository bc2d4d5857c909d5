from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from face_analysis.cli.main import COMMANDS
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command", [name for name in COMMANDS if name not in ("annotations", "models", "pairs")]
)
def test_help_tells_the_options_without_loading_torch(command: str) -> None:
    code = (
        "import sys; from face_analysis.cli.main import main\n"
        f"try: main(['{command}', '--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--config" in result.stdout


def test_no_command_an_unknown_one_and_help(run: Run) -> None:
    assert run("")[0] == 2
    status, out, _ = run("--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)
    status, out, err = run("fly")
    assert (status, out) == (2, "")
    assert "no command `fly`" in err


def test_a_configuration_written_by_a_run_starts_it_again(run: Run, patterns: Path, tmp_path: Path) -> None:
    words = "--depth 18 --width 0.125 -e 1 -b 30 -w 0 --validations 1"
    data = f"-t {patterns} -ts {patterns.parent} -v {patterns} -vs {patterns.parent}"
    assert run(f"train -a gender {data} {words} -o {tmp_path}/a")[0] == 0
    assert run(f"train --config {tmp_path}/a/config.yaml -o {tmp_path}/b")[0] == 0
    first, second = ((tmp_path / name / "config.yaml").read_text().splitlines() for name in "ab")
    assert [line for line in first if line not in second] == [f"output: {tmp_path}/a"]
    assert (tmp_path / "a/model.safetensors").stat().st_size == (
        tmp_path / "b/model.safetensors"
    ).stat().st_size
