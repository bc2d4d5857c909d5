"""`--device`, `--threads` and `--precision` mean the same in every command that runs a network."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from face_analysis.cli.align import AlignOptions
from face_analysis.cli.audit import AuditOptions
from face_analysis.cli.calibrate import CalibrateOptions
from face_analysis.cli.demo import DemoOptions
from face_analysis.cli.evaluate import EvaluateOptions
from face_analysis.cli.extract import ExtractOptions
from face_analysis.cli.pack import PackOptions
from face_analysis.cli.pairs import BuildOptions
from face_analysis.cli.predict import PredictOptions
from face_analysis.journal import journal_path
from face_analysis.machine import MachineOptions, ThreadOptions
from face_analysis.training.options import TrainOptions
from tests.cli.conftest import Run

NETWORKS = (
    PredictOptions, ExtractOptions, EvaluateOptions, CalibrateOptions, AuditOptions, DemoOptions,
    TrainOptions,
)  # fmt: skip
DETECTORS = (AlignOptions, PackOptions, BuildOptions)


def test_each_command_has_the_same_options() -> None:
    assert all(issubclass(options, MachineOptions) for options in NETWORKS)
    assert all(issubclass(options, ThreadOptions) for options in DETECTORS)


COMMANDS: dict[str, str] = {
    "predict": "predict {source}",
    "extract": "extract -s {source} -d {dest}",
    "evaluate": "evaluate --verification lfw -s {source} -d {dest}",
    "calibrate": "calibrate -m {model} -s {source} -d {dest}",
    "audit": "audit {listed} -s {source} -d {dest} --people",
    "demo": "demo -o {dest}",
    "train": "train -a race -t {listed} -ts {source} -v {listed} -vs {source} -o {dest}",
    "align": "align {source} {dest}",
    "pack": "pack -l {listed} -s {source} -a race -d {dest}",
    "pairs": "pairs build -s {source} -d {dest} --protocol lfw",
}


@pytest.fixture
def words(models: dict[str, Path], patterns: Path, tmp_path: Path) -> Callable[[str], str]:
    def of(command: str) -> str:
        return COMMANDS[command].format(
            source=patterns.parent, listed=patterns, model=models["joint"], dest=tmp_path / "dest"
        )

    return of


@pytest.mark.parametrize("command", ["predict", "extract", "calibrate", "audit", "demo", "train"])
def test_a_gpu_is_refused_where_there_is_none_before_anything_is_written(
    command: str, run: Run, words: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    status, _, error = run(f"{words(command)} --device cuda")
    assert status == 2
    assert "--device cuda: this machine has no GPU that torch can use; give cpu or auto" in error
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("command", [*COMMANDS])
def test_threads_under_none_are_refused(
    command: str, run: Run, words: Callable[[str], str], tmp_path: Path
) -> None:
    status, _, error = run(f"{words(command)} --threads -2")
    assert status == 2
    assert "`--threads -2`: must be at least 0" in error
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "bf16-mixed"])
def test_a_told_format_is_used_and_written_down(
    precision: str, run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few.txt"
    few.write_text("".join(patterns.read_text().splitlines(keepends=True)[:6]))
    words = f"predict --aligned -s {patterns.parent} -i {few} -m {models['joint']} -d {tmp_path}"
    status, _, error = run(f"{words} --precision {precision} --threads 1")
    assert status == 0, error
    config = yaml.safe_load((tmp_path / "few_config.yaml").read_text())
    assert (config["precision"], config["threads"]) == (precision, 1)


def test_auto_says_what_it_took_and_its_config_takes_it_again(
    run: Run,
    models: dict[str, Path],
    patterns: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    few = tmp_path / "few.txt"
    few.write_text("".join(patterns.read_text().splitlines(keepends=True)[:6]))
    run(f"predict --aligned -s {patterns.parent} -i {few} -m {models['joint']} -d {tmp_path}")
    assert caplog.text.count("race + gender + age runs in ") == 1
    first = yaml.safe_load((tmp_path / "few_config.yaml").read_text())
    assert first["precision"] in ("32-true", "bf16-true")
    caplog.clear()
    run(f"predict --config {tmp_path}/few_config.yaml --overwrite")
    assert "measured" not in caplog.text
    again = yaml.safe_load((tmp_path / "few_config.yaml").read_text())
    assert again == {**first, "overwrite": True}


def stopped(folder: Path, facts: dict[str, object]) -> None:
    """Leave what a run that was stopped before its first block leaves, with other facts of its form."""
    journal = journal_path(folder / "index.csv")
    begun = json.loads(journal.read_text().splitlines()[0])
    journal.write_text(json.dumps({**begun, **facts}, sort_keys=True) + "\n")


@pytest.fixture
def halted(
    run: Run, recognition_model: Path, patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A command line whose run was broken off after it had begun, in float32 on one thread."""

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    few = tmp_path / "few.txt"
    few.write_text("".join(patterns.read_text().splitlines(keepends=True)[:6]))
    words = f"extract --aligned -m {recognition_model} -s {patterns.parent} -i {few} -d {tmp_path / 'set'}"
    with monkeypatch.context() as patch:
        patch.setattr("face_analysis.inference.pipeline.in_order", broken)
        run(f"{words} --precision 32-true")
    return words


@pytest.mark.parametrize("begun", ["32-true", "bf16-true"])
def test_a_resumed_feature_set_keeps_the_format_it_began_in(
    begun: str, halted: str, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    stopped(tmp_path / "set", {"precision": begun, "channels_last": False})
    status, _, error = run(f"{halted} --resume")
    assert status == 0, error
    assert "as it began" in caplog.text
    assert "measured" not in caplog.text
    config = yaml.safe_load((tmp_path / "set" / "config.yaml").read_text())
    assert config["precision"] == begun
    with (tmp_path / "set" / "index.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6


def test_a_feature_set_is_not_resumed_in_another_format(halted: str, run: Run, tmp_path: Path) -> None:
    status, _, error = run(f"{halted} --resume --precision bf16-true")
    assert status == 2
    assert "begun with other precision" in error


def test_a_feature_set_is_resumed_on_another_number_of_threads(halted: str, run: Run) -> None:
    before = torch.get_num_threads()
    status, _, error = run(f"{halted} --resume --threads 1")
    torch.set_num_threads(before)
    assert status == 0, error
