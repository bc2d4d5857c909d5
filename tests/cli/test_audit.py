from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.lists.splits import read_groups
from tests.cli.conftest import Run


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def lists(photos: Path, tmp_path: Path) -> Path:
    """Two lists of a folder: `a.jpg` is in both as other files, once mirrored and with another age."""
    folder = tmp_path / "images"
    folder.mkdir()
    hopper, astronaut = Image.open(photos / "hopper.jpg"), Image.open(photos / "sub" / "astronaut.jpg")
    hopper.save(folder / "a.jpg")
    astronaut.save(folder / "b.jpg")
    shutil.copy(folder / "a.jpg", folder / "c.jpg")
    hopper.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "d.jpg", quality=60)
    Image.open(photos / "empty.png").save(folder / "e.png")
    shutil.copy(photos / "sub" / "broken.jpg", folder / "f.jpg")
    (tmp_path / "train.csv").write_text(
        "path,race,gender,age,subject\na.jpg,0,0,78,hopper\nb.jpg,0,0,40,collins\nc.jpg,0,0,78,hopper\n"
        "e.png,,,,\nf.jpg,0,0,78,\n"
    )
    (tmp_path / "val.csv").write_text("path,age,subject\nd.jpg,30,hopper\n")
    return tmp_path


def command(folder: Path, more: str = "") -> str:
    return f"audit {folder}/train.csv {folder}/val.csv -s {folder}/images -d {folder}/out {more}"


def test_the_tables_name_what_is_wrong(run: Run, lists: Path) -> None:
    status, out, _ = run(command(lists))
    assert status == 1  # for the broken image
    written = lists / "out"
    assert [(row["list"], row["path"]) for row in table(written / "unreadable.csv")] == [("train", "f.jpg")]
    copies = table(written / "copies.csv")
    assert [(row["group"], row["list"], row["path"], row["kind"]) for row in copies] == [
        ("0", "train", "a.jpg", "first"),
        ("0", "train", "c.jpg", "same bytes"),
        ("0", "val", "d.jpg", "mirrored"),
    ]
    assert read_groups(written / "groups.csv") == dict.fromkeys(("a.jpg", "c.jpg", "d.jpg"), "0")
    wrong = table(written / "contradictions.csv")
    assert {(row["attribute"], row["path"], row["value"]) for row in wrong} == {
        ("age", "a.jpg", "78"),
        ("age", "c.jpg", "78"),
        ("age", "d.jpg", "30"),
    }
    assert {(row["kind"], row["path"]) for row in table(written / "leaks.csv")} == {
        (kind, path) for kind in ("picture", "subject") for path in ("a.jpg", "c.jpg", "d.jpg")
    }
    ages = {row["value"]: (row["train"], row["val"]) for row in table(written / "counts.csv")[-4:]}
    assert ages == {"-1": ("1", "0"), "30": ("0", "1"), "40": ("1", "0"), "78": ("3", "0")}
    assert yaml.safe_load((written / "config.yaml").read_text())["source"] == f"{lists}/images"
    assert "unreadable" in out
    assert (written / "audit.html").is_file()


@pytest.mark.parametrize(
    ("rule", "train", "val"),
    [
        ("first", ["b.jpg", "e.png"], [("d.jpg", 30)]),
        ("drop", ["b.jpg", "e.png"], []),
        ("majority", ["b.jpg", "e.png"], [("d.jpg", 78)]),
    ],
)
def test_cleaned_lists_can_be_read_and_hold_no_copies(
    run: Run, lists: Path, rule: str, train: list[str], val: list[tuple[str, int]]
) -> None:
    run(command(lists, f"--fix {rule}"))
    cleaned = lists / "out" / "cleaned"
    assert read_image_list(cleaned / "train.csv").images == train
    kept = [(row["path"], int(row["age"])) for row in table(cleaned / "val.csv")]
    assert kept == val
    left_out = {row["path"] for row in table(cleaned / "left_out.csv")}
    assert left_out == {"a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.png", "f.jpg"} - {
        *train,
        *(path for path, _ in kept),
    }


def test_an_image_without_one_face_is_named(run: Run, lists: Path) -> None:
    run(command(lists, "--faces"))
    assert [(row["path"], row["faces"]) for row in table(lists / "out" / "faces.csv")] == [("e.png", "0")]


def test_people_in_two_lists_look_alike_unless_they_are_known_to_be_there(run: Run, lists: Path) -> None:
    with Image.open(lists / "images" / "b.jpg") as astronaut:
        astronaut.crop((100, 0, 400, 300)).save(lists / "images" / "g.jpg")
    (lists / "val.csv").write_text("path,age,subject\nd.jpg,30,hopper\ng.jpg,40,\n")
    run(command(lists, "--people"))
    leaks = [(row["kind"], row["path"]) for row in table(lists / "out" / "leaks.csv")]
    assert {path for kind, path in leaks if kind == "lookalike"} == {"b.jpg", "g.jpg"}
    assert {path for kind, path in leaks if kind == "subject"} == {"a.jpg", "c.jpg", "d.jpg"}


def test_a_packed_list_is_audited_beside_a_list(run: Run, lists: Path) -> None:
    run(f"pack -l {lists}/train.csv -s {lists}/images -a age -d {lists}/train.lmdb")
    status, _, _ = run(f"audit {lists}/train.lmdb {lists}/val.csv -s {lists}/images -d {lists}/out")
    assert status == 0  # packing left the broken image out
    assert [row["path"] for row in table(lists / "out" / "copies.csv")] == ["a.jpg", "c.jpg", "d.jpg"]


def test_wrong_options_are_named(run: Run, lists: Path) -> None:
    status, _, err = run(command(lists, "--similarity 0"))
    assert (status, "--similarity" in err) == (2, True)
    status, _, err = run(f"audit {lists}/train.csv {lists}/train.csv -s {lists}/images -d {lists}/out")
    assert (status, "train" in err) == (2, True)
    status, _, err = run(f"audit {lists}/absent.csv -s {lists}/images -d {lists}/out")
    assert (status, "absent.csv" in err) == (2, True)
