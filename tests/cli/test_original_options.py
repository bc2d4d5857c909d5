"""Every option of the original's scripts, long and short, with its default, as documented of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from face_analysis.cli.annotations import CountOptions, FolderOptions, SplitOptions
from face_analysis.cli.extract import ExtractOptions
from face_analysis.cli.feature_match import FeatureMatchOptions
from face_analysis.cli.original import translate
from face_analysis.cli.original_options import SCRIPTS
from face_analysis.cli.pack import PackOptions
from face_analysis.cli.pairs import BuildOptions
from face_analysis.cli.parser import parse
from face_analysis.cli.predict import PredictOptions
from face_analysis.training.options import TrainOptions

ROOT = Path(__file__).parents[2]
SETS = ("agedb_30", "cfp_fp", "lfw")

COMMANDS: dict[str, tuple[int, type, str]] = {
    "train.py": (1, TrainOptions, "-a race"),
    "predict.py": (1, PredictOptions, ""),
    "feature_extraction.py": (1, ExtractOptions, "-d out"),
    "feature_match.py": (1, FeatureMatchOptions, "-p a -o b -d c -gr d"),
    "imagelist2lmdb.py": (1, PackOptions, "-d out"),
    "folder2lmdb.py": (1, PackOptions, "-d out"),
    "prepare_test_sets.py": (2, BuildOptions, "-r bins"),
    "folder_to_list.py": (2, FolderOptions, "-f x -o y"),
    "train_test_split.py": (2, SplitOptions, "-i x.txt"),
    "count_classes_train_test.py": (2, CountOptions, "-i x.txt"),
}
"""How many words name the command, its options, and what it cannot do without."""

OPTIONS: dict[str, list[tuple[str, str, str, str, Any, Any]]] = {
    "train.py": [
        ("--epochs", "-e", "7", "epochs", 7, 30),
        ("--net_mode", "-n", "ir", "net_mode", "ir", "ir_se"),
        ("--depth", "-d", "100", "depth", 100, 50),
        ("--lr", "-lr", "0.5", "lr", 0.5, 0.001),
        ("--batch_size", "-b", "7", "batch_size", 7, 384),
        ("--lr_plateau", "-lrp", "", "lr_plateau", True, False),
        ("--early_stop", "-es", "", "early_stop", True, False),
        ("--multi_gpu", "-m", "", "multi_gpu", True, False),
        ("--workers", "-w", "7", "workers", 7, 4),
        ("--num_classes", "-nc", "7", "num_classes", 7, None),
        ("--train_list", "-t", "l.txt", "train_list", Path("l.txt"), None),
        ("--val_list", "-v", "l.txt", "val_list", ("l.txt",), ()),
        ("--val_list", "-v", "lfw cfp_fp", "val_list", ("lfw", "cfp_fp"), ()),
        ("--train_source", "-ts", "s.lmdb/", "train_source", Path("s.lmdb"), None),
        ("--val_source", "-vs", "s/", "val_source", Path("s"), None),
        ("--attribute", "-a", "age", "attribute", ("age",), ("race",)),
        ("--attribute", "-a", "Recognition", "attribute", ("recognition",), ("race",)),
        ("--head", "-hd", "cosface", "head", "cosface", "arcface"),
        ("--head", "-hd", "AdaCos", "head", "adacos", "arcface"),
        ("--margin", "-margin", "0.4", "margin", 0.4, None),
        ("--prefix", "-p", "name", "prefix", "name", None),
        ("--pretrained", "-pt", "model_x.pth", "pretrained", Path("model_x.pth"), None),
        ("--resume", "-r", "run", "resume", Path("run"), None),
        ("--use_mask", "-us", "", "use_mask", True, False),
    ],
    "predict.py": [
        ("--source", "-s", "s/", "source", Path("s"), None),
        ("--image_list", "-i", "l.txt", "image_list", Path("l.txt"), None),
        ("--dest", "-d", "d/", "dest", Path("d"), None),
        ("--batch_size", "-b", "7", "batch_size", 7, 96),
        ("--race_model", "-rm", "m.pth", "race_model", Path("m.pth"), None),
        ("--gender_model", "-gm", "m.pth", "gender_model", Path("m.pth"), None),
        ("--age_model", "-am", "m.pth", "age_model", Path("m.pth"), None),
        ("--net_mode", "-n", "ir", "net_mode", "ir", "ir_se"),
        ("--depth", "-dp", "152", "depth", 152, 50),
        ("--workers", "-w", "7", "workers", 7, 4),
    ],
    "feature_extraction.py": [
        ("--source", "-s", "s/", "source", Path("s"), None),
        ("--image_list", "-i", "l.txt", "image_list", Path("l.txt"), None),
        ("--dest", "-d", "d/", "dest", Path("d"), Path("out")),
        ("--batch_size", "-b", "7", "batch_size", 7, 250),
        ("--model", "-m", "m.pth", "model", "m.pth", "sface"),
        ("--net_mode", "-n", "ir", "net_mode", "ir", "ir_se"),
        ("--depth", "-dp", "152", "depth", 152, 50),
        ("--workers", "-w", "7", "workers", 7, 4),
    ],
    "feature_match.py": [
        ("-probe", "-p", "l.txt", "probe", Path("l.txt"), Path("a")),
        ("-gallery", "-g", "l.txt", "gallery", Path("l.txt"), None),
        ("-output", "-o", "x/", "output", Path("x"), Path("b")),
        ("-dataset", "-d", "CHIYA", "dataset", "CHIYA", "c"),
        ("-group", "-gr", "AA", "group", "AA", "d"),
    ],
    "imagelist2lmdb.py": [
        ("--image_list", "-l", "l.txt", "list", Path("l.txt"), None),
        ("--source", "-s", "s/", "source", Path("s"), None),
        ("--mask_source", "-ms", "m/", "mask_source", Path("m"), None),
        ("--workers", "-w", "7", "workers", 7, 16),
        ("--attribute", "-a", "age", "attribute", "age", "recognition"),
        ("--dest", "-d", "d/", "dest", Path("d"), Path("out")),
    ],
    "folder2lmdb.py": [
        ("--source", "-s", "s/", "source", Path("s"), None),
        ("--workers", "-w", "7", "workers", 7, 16),
        ("--dest", "-d", "d/", "dest", Path("d"), Path("out")),
        ("--name", "-n", "name", "name", "name", None),
    ],
    "prepare_test_sets.py": [("--rec_path", "-r", "b/", "source", Path("b"), Path("bins"))],
    "folder_to_list.py": [
        ("--folder", "-f", "f/", "source", Path("f"), Path("x")),
        ("--output", "-o", "o.txt", "dest", Path("o.txt"), Path("y")),
    ],
    "train_test_split.py": [
        ("--image_list", "-i", "a/l.txt", "list", Path("a/l.txt"), Path("x.txt")),
        ("--percent", "-p", "0.25", "shares", (0.75, 0.25), (0.9, 0.1)),
    ],
    "count_classes_train_test.py": [
        ("--image_list", "-i", "l.txt", "lists", (Path("l.txt"),), (Path("x.txt"),)),
        ("--attribute", "-a", "age", "attribute", "age", None),
        ("--attribute", "-a", "Race", "attribute", "race", None),
    ],
}


def told(script: str, words: str) -> Any:
    """The options of the command that a script runs."""
    names, options, _ = COMMANDS[script]
    return parse(script, options, translate(script, words.split())[names:])


@pytest.mark.parametrize("script", OPTIONS)
def test_every_option_is_taken_by_its_long_and_its_short_name(script: str) -> None:
    needed = COMMANDS[script][2]
    for long, short, value, field, expected, _ in OPTIONS[script]:
        for name in (long, short):
            assert getattr(told(script, f"{needed} {name} {value}"), field) == expected, name
        if long.startswith("--") and value and " " not in value:
            assert getattr(told(script, f"{needed} {long}={value}"), field) == expected, long


@pytest.mark.parametrize("script", OPTIONS)
def test_what_is_not_given_is_as_the_original_took_it(script: str) -> None:
    options = told(script, COMMANDS[script][2])
    for _, _, _, field, _, default in OPTIONS[script]:
        assert getattr(options, field) == default, field


def test_a_long_name_may_be_shortened_and_options_of_the_command_go_on_to_it() -> None:
    options = told("train.py", "--attr age --batch 8 --width 0.5 --lr_steps 3 4 -e 2 --jitter=0.1")
    assert (options.attribute, options.batch_size, options.epochs) == (("age",), 8, 2)
    assert (options.width, options.lr_steps, options.jitter) == (0.5, (3, 4), 0.1)


def test_what_a_run_or_a_configuration_says_is_not_overruled_by_defaults(tmp_path: Path) -> None:
    assert translate("train.py", ["-r", "run"]) == ["train", "--preset", "original", "--resume", "run"]
    (tmp_path / "config.yaml").write_text("attribute: [age]\nepochs: 3\nbatch_size: 8\n")
    for words in (f"--config {tmp_path}/config.yaml", f"--config={tmp_path}/config.yaml"):
        options = told("train.py", f"{words} -e 4")
        assert (options.attribute, options.epochs, options.batch_size) == (("age",), 4, 8)


def test_a_checkpoint_of_the_original_is_resumed_by_its_weights(caplog: pytest.LogCaptureFixture) -> None:
    options = told("train.py", "-a age -r model_a_accuracy:0.9_step:7.pth")
    assert (options.resume, options.pretrained) == (None, Path("model_a_accuracy:0.9_step:7.pth"))
    assert (options.epochs, options.batch_size) == (30, 384)
    assert "momenta" in caplog.text
    assert told("train.py", "-a age -r a.pth -pt b.pth").pretrained == Path("b.pth")


def test_recognition_is_validated_on_the_three_sets_where_none_is_named() -> None:
    assert told("train.py", "-a recognition -vs sets").val_list == SETS
    assert told("train.py", "-a recognition").val_list == ()


def test_a_list_named_tx_by_slip_is_found_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("age_val.txt").touch()
    assert told("train.py", "-a age -v age_val.tx").val_list == ("age_val.txt",)
    assert "age_val.txt is read" in caplog.text
    Path("age_val.tx").touch()
    assert told("train.py", "-a age -v age_val.tx").val_list == ("age_val.tx",)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_script_is_there_and_tells_its_options(script: str) -> None:
    (path,) = (path for path in (ROOT / script, ROOT / "utils" / script) if path.exists())
    done = subprocess.run([sys.executable, str(path), "-h"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    words = re.split(r"[\s,\[\]]+", done.stdout)
    assert {name for row in OPTIONS[script] for name in row[:2]} <= set(words)


def test_a_share_that_is_no_number_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    from face_analysis.cli.original import main

    assert main("train_test_split.py", ["-i", "x.txt", "-p", "ten"]) == 2
    assert "--percent ten" in capsys.readouterr().err
