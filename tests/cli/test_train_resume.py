"""`train --resume RUN`: the folder knows the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run
from tests.training.runs import column, same, saved_weights

SMALL = "--backbone mobilefacenet --width 0.125 --embedding_size 16 --dropout 0 --validations 1 -w 0"


@pytest.fixture
def words(patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A training on 12 pictures, by paths relative to the working folder."""
    rows = patterns.read_text().splitlines()[:12]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "list.txt").write_text("\n".join(rows))
    shutil.copytree(patterns.parent / "patterns", tmp_path / "work" / "images" / "patterns")
    monkeypatch.chdir(tmp_path / "work")
    data = "-ts images -t list.txt -vs images -v list.txt"
    return f"train -a gender age {data} {SMALL} -b 6 -lr 0.05 --lr_steps 1 --precision 32-true"


def test_a_run_goes_on_by_its_folder_alone_from_anywhere(
    run: Run, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(f"{words} -e 2 -o whole")[0] == 0
    assert run(f"{words} -e 1 -o run")[0] == 0
    monkeypatch.chdir(tmp_path)
    status, out, err = run("train --resume work/run -e 2")
    assert status == 0, err
    assert "work/run/model.safetensors" in out
    assert same(saved_weights(tmp_path / "work/run"), saved_weights(tmp_path / "work/whole"))
    assert column(tmp_path / "work/run", "train_loss") == column(tmp_path / "work/whole", "train_loss")
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [
        "images",
        "list.txt",
        "run",
        "whole",
    ]

    status, out, err = run("train -r=work/run")
    assert (status, out) == (0, "")
    assert "finished run: 2 epochs of 2 made" in err
    status, out, err = run("train -e 1 -r work/run")
    assert (status, out) == (2, "")
    assert "--epochs 1: work/run/checkpoints/last.ckpt has made 2 epochs; give more epochs" in err


def test_what_is_told_beside_the_folder_overrides_it(run: Run, words: str) -> None:
    assert run(f"{words} -e 1 -o run")[0] == 0
    status, _, err = run("train --resume run -e 3 -o other -b 4 -lr 0.2")
    assert status == 0, err
    config = yaml.safe_load(Path("other/config.yaml").read_text())
    assert (config["epochs"], config["batch_size"], config["lr"], config["attribute"]) == (
        3,
        4,
        0.2,
        ["gender", "age"],
    )
    assert column(Path("other"), "learning_rate")[-1] == pytest.approx(0.02)
    assert not Path("run/metrics.csv").read_text().count("\n2,")


def test_a_checkpoint_that_is_named_goes_on_in_a_folder_of_its_own(run: Run, words: str) -> None:
    assert run(f"{words} -e 1 -o run")[0] == 0
    before = Path("run/metrics.csv").read_bytes()
    status, out, err = run("train --resume run/checkpoints/best.ckpt -e 2")
    assert status == 0, err
    (made,) = Path("runs").iterdir()
    assert f"{made}/model.safetensors" in out
    assert Path("run/metrics.csv").read_bytes() == before


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_folder_without_a_run_is_named(run: Run, words: str, place: str) -> None:
    Path("empty").mkdir()
    status, _, err = run(f"{words} --resume {place}")
    assert status == 2
    assert f"checkpoint to resume not found: {place}" in err
