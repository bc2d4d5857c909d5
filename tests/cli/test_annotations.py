from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
import yaml
from PIL import Image

from face_analysis.cli.annotations import SetName
from face_analysis.datasets.attributes import GENDERS, RACES
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.lists.public_sets import PUBLIC_SETS
from tests.cli.conftest import Run


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_names_become_a_list_and_what_does_not_fit_is_beside_it(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("8_0_2_201701.jpg", "116_1_0_201702.jpg", "61_1_201701.jpg", "8_7_2_201701.jpg"):
        (images / name).touch()
    status, out, err = run(f"annotations normalize utkface -s {images} -d {tmp_path}/new/utk.csv")
    assert (status, out.strip()) == (1, f"{tmp_path}/new/utk.csv: 2 images")
    assert (tmp_path / "new/utk.csv").read_text() == (
        "path,race,gender,age\n116_1_0_201702.jpg,0,0,-1\n8_0_2_201701.jpg,2,1,8\n"
    )
    assert caplog.messages == ["ages outside 0 to 100, listed as unknown: 1"]
    assert f"2 images could not be used: see {tmp_path}/new/utk.csv.errors.csv" in err
    failed = {row["path"]: row["reason"] for row in table(tmp_path / "new/utk.csv.errors.csv")}
    assert set(failed) == {"61_1_201701.jpg", "8_7_2_201701.jpg"}
    assert yaml.safe_load((tmp_path / "new/utk.csv.config.yaml").read_text())["dataset"] == "utkface"


def test_a_set_with_a_list_needs_it_and_is_read_without_its_images(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("1.jpg W M 33\n009055_1M54.JPG O F 54\n")
    status, _, err = run(f"annotations normalize morph -s {tmp_path} -d {tmp_path}/m.csv")
    assert (status, "path race sex age" in err) == (2, True)
    status, _, _ = run(f"annotations normalize morph -i {tmp_path}/list.txt -d {tmp_path}/m.csv")
    listed = read_image_list(tmp_path / "m.csv")
    assert status == 0
    assert listed.labels["race"].tolist() == [0, 4]
    assert listed.strings == {"subject": ["", "009055"]}


def test_a_set_of_which_nothing_fits_gives_no_list(run: Run, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a.jpg\nb.jpg\n")
    words = f"annotations normalize cacd -i {tmp_path}/names.txt -d {tmp_path}/c.csv"
    status, out, err = run(words)
    assert (status, out) == (2, "")
    assert "c.csv.errors.csv" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.csv.errors.csv", "names.txt"]


def test_a_split_writes_a_list_a_part_and_keeps_groups_together(
    run: Run, tmp_path: Path, patterns: Path
) -> None:
    images = [line.split(" ")[0] for line in patterns.read_text().splitlines()]
    (tmp_path / "groups.csv").write_text(
        "path,group\n" + "".join(f"{image},{row // 3}\n" for row, image in enumerate(images[:30]))
    )
    status, out, _ = run(
        f"annotations split {patterns} -d {tmp_path}/s --shares 0.7 0.3 --names a b --by group "
        f"--groups {tmp_path}/groups.csv --stratify gender --seed 5"
    )
    assert status == 0
    parts = [read_image_list(tmp_path / f"s/{name}.csv") for name in "ab"]
    assert out == f"{tmp_path}/s/a.csv: 42 images\n{tmp_path}/s/b.csv: 18 images\n"
    assert sorted([*parts[0].images, *parts[1].images]) == sorted(images)
    assert all(
        len({image in parts[0].images for image in images[row : row + 3]}) == 1 for row in range(0, 30, 3)
    )
    config = yaml.safe_load((tmp_path / "s/config.yaml").read_text())
    assert (config["shares"], config["by"], config["seed"]) == ([0.7, 0.3], "group", 5)
    assert run(f"annotations split {patterns} -d {tmp_path}/again --config {tmp_path}/s/config.yaml")[0] == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--shares 0.5 0.5", "--names"),
        ("--names a a b", "--names"),
        ("--names a ../b c", "--names a ../b c"),
        ("--shares 0.5 0.4 0.2", "add up to 1"),
        ("--seed -1", "--seed -1"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_written(
    run: Run, tmp_path: Path, patterns: Path, words: str, reason: str
) -> None:
    status, _, err = run(f"annotations split {patterns} -d {tmp_path}/s {words}")
    assert (status, reason in err) == (2, True)
    assert not (tmp_path / "s").exists()


def test_counts_agree_with_a_loop_over_the_lists_and_unknown_labels_show(
    run: Run, tmp_path: Path, patterns: Path
) -> None:
    (tmp_path / "ages.csv").write_text("path,age,gender\na,100,\nb,3,1\nc,,0\nd,3,1\n")
    status, out, _ = run(f"annotations count {patterns} {tmp_path}/ages.csv -d {tmp_path}/c")
    assert status == 0
    expected: Counter[tuple[str, ...]] = Counter()
    for line in patterns.read_text().splitlines():
        race, gender, age = map(int, line.split(" ")[1:])
        band = "70+" if age >= 70 else f"{age - age % 10}-{age - age % 10 + 9}"
        expected[str(patterns), RACES[race], GENDERS[gender], band] += 1
    for gender, band, count in (("unknown", "70+", 1), ("male", "0-9", 2), ("female", "unknown", 1)):
        expected[f"{tmp_path}/ages.csv", "unknown", gender, band] = count
    keys = ("list", "race", "gender", "age")
    found = {tuple(row[key] for key in keys): int(row["images"]) for row in table(tmp_path / "c/counts.csv")}
    assert {key: count for key, count in found.items() if count} == expected
    first, second = out.split("\n\n## ")
    assert "unknown" not in first
    assert first.splitlines()[-1].endswith("| 60 |")
    assert "| unknown | male | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 2 |" in second
    assert second.splitlines()[-1] == "| all |  | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 1 | 1 | 4 |"
    with Image.open(tmp_path / "c/counts.png") as figure:
        figure.verify()


def test_the_command_takes_every_set_that_can_be_read() -> None:
    assert get_args(SetName) == tuple(PUBLIC_SETS)


def test_the_actions_are_told_where_none_is_given(run: Run) -> None:
    status, out, err = run("annotations")
    assert (status, out) == (2, "")
    assert "usage: face-analysis annotations normalize|folder|split|count [options]" in err
    status, out, err = run("annotations --help")
    assert (status, out[:27], err) == (0, "usage: face-analysis annota", "")
    status, _, err = run("annotations count -d x")
    assert (status, "image lists" in err) == (2, True)
