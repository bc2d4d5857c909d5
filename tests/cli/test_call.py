"""Commands called from Python write what the shell's commands write."""

from __future__ import annotations

from pathlib import Path

import pytest

from face_analysis import call
from face_analysis.errors import FaceAnalysisError, MissingFileError, OutputError, UsageError
from tests.cli.conftest import Run
from tests.cli.killed_runs import tree


def test_a_call_writes_what_the_command_writes(
    run: Run, patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = patterns.parent
    words = f"pack -l {patterns} -s {folder} -a race -d {tmp_path / 'shell.lmdb'}"
    status, _, _ = run(words)
    assert status == call(
        "pack", list=patterns, source=folder, attribute="race", dest=tmp_path / "python.lmdb"
    )
    assert (tmp_path / "shell.lmdb").read_bytes() == (tmp_path / "python.lmdb").read_bytes()


def test_words_without_a_flag_and_switches_are_given_by_name(
    run: Run, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = [photos / "hopper.jpg", photos / "empty.png"]
    _, expected, _ = run(f"predict {pair[0]} {pair[1]} --format jsonl --precision 32-true --whole")
    assert call("predict", photos=pair, format="jsonl", precision="32-true", whole=True, aligned=False) == 0
    assert capsys.readouterr().out == expected


def test_actions_are_called_by_both_words(patterns: Path, tmp_path: Path) -> None:
    done = call(
        "annotations split", list=patterns, dest=tmp_path / "lists", shares=[0.5, 0.5], names=["one", "other"]
    )
    assert done == 0
    assert len(tree(tmp_path / "lists")) >= 2


@pytest.mark.parametrize(
    ("command", "options", "kind", "words"),
    [
        ("predicts", {}, UsageError, "no command 'predicts'"),
        ("predict", {"colour": 1}, UsageError, "predict has no option colour; it has config"),
        ("predict", {"photos": "gone.jpg"}, MissingFileError, "gone.jpg"),
        ("predict", {"photos": "gone.jpg", "threshold": 7}, UsageError, "--threshold 7"),
        ("match", {"output": "x"}, UsageError, "PROBES"),
    ],
)
def test_what_is_wrong_is_raised(
    command: str, options: dict[str, object], kind: type[FaceAnalysisError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        call(command, **options)  # type: ignore[arg-type]


def test_an_earlier_result_is_not_replaced(photos: Path, tmp_path: Path) -> None:
    given = {"source": photos / "hopper.jpg", "dest": tmp_path / "chips"}
    assert call("align", **given) == 0
    with pytest.raises(OutputError):
        call("align", **given)
    assert call("align", **given, overwrite=True) == 0
