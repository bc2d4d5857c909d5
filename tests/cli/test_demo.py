from __future__ import annotations

import csv
from pathlib import Path

import cv2
import pytest

from tests.cli.conftest import Run


@pytest.mark.slow
def test_the_demo_runs_twice_in_one_folder_and_says_where_its_pictures_lie(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / 'my demo\'s "50 %" \u00e9'
    for _ in range(2):
        status, out, _ = run(["demo", "-o", str(folder), "--images", "40", "-e", "2"])
        assert status == 0
    listed, page = out.split("pictures:")[1].split("page:")
    pictures = [Path(line.strip()) for line in listed.strip().splitlines()]
    assert [picture.name for picture in pictures[:2]] == ["astronaut.png.jpg", "grace_hopper.jpg"]
    assert len(pictures) == 2 + 7 + 5
    assert len([line for line in out.splitlines() if "face at" in line]) == 2
    assert all(cv2.imread(str(picture)) is not None for picture in pictures)
    with (folder / "people" / "portraits_predictions.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["astronaut.png", "grace_hopper.jpg"]
    commands = [line.split()[2] for line in out.splitlines() if line.startswith("$")]
    assert commands == [
        *("predict", "predict", "pack", "pack", "train", "predict", "evaluate", "extract", "match", "report")
    ]
    assert "no faces: see what a report has" in Path(page.strip()).read_text()
    assert "480 mated and 50560 non-mated pairs of 80 people" in out


@pytest.mark.slow
def test_the_demo_runs_in_a_folder_whose_name_begins_with_a_dash(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("demo -o=-x --images 24 -e 1")
    assert status == 0
    assert (tmp_path / "-x" / "report" / "report.html").exists()
    words = next(line for line in out.splitlines() if line.startswith("$ face-analysis match"))
    assert words == "$ face-analysis match ./-x/features -o ./-x/match --group gender --fmr 0.01"


def test_a_folder_with_something_else_in_it_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    status, _, err = run(f"demo -o {tmp_path}")
    assert status == 2
    assert "holds something else" in err
    assert (tmp_path / "thesis.txt").exists()
