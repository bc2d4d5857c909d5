from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from face_analysis.cli import train as command
from face_analysis.cli.original import translate
from face_analysis.errors import UsageError
from face_analysis.training.checked import check
from face_analysis.training.options import TrainOptions
from face_analysis.training.presets import fitting_preset, preset_values

WORDS = ("-a", "race", "-t", "list.txt", "-v", "list.txt")


def parsed(*words: str) -> TrainOptions:
    return command._parsed([*WORDS, *words])


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize("task", ["race", "recognition"])
@pytest.mark.parametrize("name", ["laptop", "gpu", "original"])
def test_the_values_of_each_preset_are_options_that_go_together(name: str, task: str) -> None:
    options = command._parsed(["-a", task, "-t", "list.txt", "--preset", name])
    check(options)
    assert options.preset == name


@pytest.mark.parametrize("name", ["laptop", "gpu"])
@pytest.mark.parametrize(
    "words",
    [
        "--head adacos",
        "--head softmax",
        "--lr_plateau",
        "--lr_cosine",
        "--lr_steps 3 4",
        "--images_per_person 4",
    ],
)
def test_a_preset_leaves_out_what_does_not_go_with_the_words(name: str, words: str) -> None:
    for task in ("recognition", *(["race"] if words.startswith("--lr") else [])):
        options = command._parsed(["-a", task, "-t", "list.txt", "--preset", name, *words.split()])
        check(options)
        if words.startswith("--lr_steps"):
            assert (options.lr_cosine, options.lr_steps) == (False, (3, 4))


def test_original_has_the_original_systems_values() -> None:
    options = parsed("--preset", "original")
    assert (options.net_mode, options.depth, options.width) == ("ir_se", 50, 1.0)
    assert (options.epochs, options.lr, options.batch_size, options.workers) == (30, 0.001, 384, 4)
    assert options.lr_steps == (9, 12, 14)


def test_without_a_gpu_the_preset_is_laptop_and_with_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed().preset == "laptop"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert fitting_preset("auto") == "gpu"
    assert fitting_preset("cpu") == "laptop"


def test_an_option_that_is_given_wins_over_the_preset_also_with_the_original_value() -> None:
    options = parsed("-b", "384", "--lr_steps", "9", "12", "14", "-w", "0")
    assert (options.batch_size, options.lr_steps, options.workers) == (384, (9, 12, 14), 0)
    assert options.width == preset_values("laptop", recognition=False, pretrained=False)["width"]


def test_a_file_of_options_wins_over_the_preset_and_the_words_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text("batch_size: 24\nwidth: 0.5\n")
    options = parsed("--config", str(tmp_path / "some.yaml"), "--width", "0.75")
    assert (options.batch_size, options.width, options.depth) == (24, 0.75, 18)


def test_what_is_written_of_a_run_gives_the_same_options_under_any_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from face_analysis.options import to_yaml

    first = parsed("--epochs", "3")
    (tmp_path / "config.yaml").write_text(to_yaml(first))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    again = command._parsed(["--config", str(tmp_path / "config.yaml")])
    names = [item.name for item in fields(TrainOptions)]
    assert {name: getattr(again, name) for name in names} == {name: getattr(first, name) for name in names}
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["preset"] == "laptop"


def test_a_pretrained_network_keeps_its_size() -> None:
    options = parsed("--pretrained", "weights.safetensors")
    assert (options.depth, options.width, options.batch_size) == (50, 1.0, 128)


def test_a_resumed_run_takes_no_preset() -> None:
    options = parsed("--resume", "run")
    assert (options.preset, options.depth, options.batch_size) == (None, 50, 384)


def test_a_device_that_is_not_there_is_told_before_a_preset_is_taken() -> None:
    with pytest.raises(UsageError, match="--device cuda: this machine has no GPU"):
        parsed("--device", "cuda")


def test_the_originals_script_keeps_the_originals_values() -> None:
    words = translate("train.py", ["-a", "race"])
    assert words[:3] == ["train", "--preset", "original"]
