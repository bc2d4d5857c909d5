"""Completion in a real shell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def shell() -> str:
    found = shutil.which("bash")
    if found is None:
        pytest.skip("bash is not here")
    return found


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pr"], {"predict"}),
        (["predict", "--fa"], {"--faces"}),
        (["predict", "--faces", ""], {"all", "largest", "centre"}),
        (["annotations", ""], {"count", "folder", "normalize", "split"}),
        (["annotations", "normalize", "imd"], {"imdb-wiki"}),
        (["models", "import", "--attribute", "rec"], {"recognition"}),
        (["train", "--head", "cur"], {"curricularface"}),
        (["align", "pho"], {"photos"}),
        (["predict", "--source", "pho"], {"photos"}),
    ],
)
def test_bash_completes_commands_options_choices_and_files(
    run: Run, shell: str, tmp_path: Path, words: list[str], offered: set[str]
) -> None:
    status, script, _ = run("completion bash")
    assert status == 0
    (tmp_path / "script").write_text(script)
    (tmp_path / "photos").mkdir()
    ask = (
        'source ./script; words=(face-analysis "$@"); COMP_WORDS=("${words[@]}"); COMP_CWORD=$#; '
        'eval "$(complete -p face-analysis | sed -E "s/.*-F ([^ ]+) .*/\\1/")"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    result = subprocess.run(
        [shell, "-c", ask, "shell", *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) == offered


@pytest.mark.parametrize("name", ["zsh", "tcsh"])
def test_other_shells_get_a_script_with_every_command(run: Run, name: str) -> None:
    status, script, _ = run(f"completion {name}")
    assert status == 0
    assert all(word in script for word in ("predict", "annotations", "normalize", "image_list"))
