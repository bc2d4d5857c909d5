"""Persons from folders, and groups from image lists and predictions, in `extract` and `match`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.csv_files import rows_of
from tests.docs.world import portraits

NAMES = [f"{'ab'[number % 2]}/{number}.jpg" for number in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of two people, a folder a person."""
    place = tmp_path_factory.mktemp("people")
    for name, picture in zip(NAMES, portraits(6), strict=True):
        (place / name).parent.mkdir(exist_ok=True)
        picture.save(place / name)
    return place


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of five of them; the last is not listed, and one race is not known."""
    path = tmp_path_factory.mktemp("list") / "labels.csv"
    rows = [
        f"{name},{-1 if place == 0 else place % 5},{place % 2},{20 + place}"
        for place, name in enumerate(NAMES[:5])
    ]
    path.write_text("\n".join(["path,race,gender,age", *rows]) + "\n")
    return path


@pytest.fixture
def predicted(run: Run, folder: Path, tmp_path: Path) -> Path:
    assert run(f"predict -s {folder} -d {tmp_path / 'p'} --faces largest")[0] == 0
    (path,) = (tmp_path / "p").glob("*_predictions.csv")
    return path


def test_the_folder_of_a_photo_is_its_person(run: Run, folder: Path, tmp_path: Path) -> None:
    status, _, _ = run(f"extract -s {folder} -d {tmp_path / 'f'} --subject folder")
    assert status == 0
    assert [(row["path"], row["subject"]) for row in rows_of(tmp_path / "f" / "index.csv")] == [
        (name, name[0]) for name in sorted(NAMES)
    ]
    status, out, _ = run(f"match {tmp_path / 'f'} -o {tmp_path / 'm'}")
    assert status == 0
    assert out.startswith("6 mated and 9 non-mated pairs of 2 people")


def test_a_source_without_subfolders_has_no_persons(run: Run, folder: Path, tmp_path: Path) -> None:
    status, _, err = run(f"extract -s {folder / 'a'} -d {tmp_path / 'f'} --subject folder")
    assert status == 2
    assert "no photo lies in a subfolder" in err


def test_labels_of_a_list_become_columns_of_the_index(
    run: Run, folder: Path, listed: Path, tmp_path: Path
) -> None:
    status, _, _ = run(f"extract -s {folder} -d {tmp_path / 'f'} --subject folder --labels {listed}")
    assert status == 0
    labels = {row["path"]: row for row in rows_of(listed)}
    for row in rows_of(tmp_path / "f" / "index.csv"):
        known = labels.get(row["path"], {"race": "", "gender": "", "age": ""})
        assert row["race"] == known["race"].replace("-1", "")
        assert (row["gender"], row["age"]) == (known["gender"], known["age"])


def test_predictions_are_groups_of_a_match_and_its_page_says_so(
    run: Run, folder: Path, predicted: Path, tmp_path: Path
) -> None:
    run(f"extract -s {folder} -d {tmp_path / 'f'} --subject folder")
    command = f"match {tmp_path / 'f'} -o {tmp_path / 'm'} --labels {predicted} --group gender --fmr 0.5"
    status, _, _ = run(command)
    assert status == 0
    about = json.loads((tmp_path / "m" / "match.json").read_text())
    genders = {("female", "male")[int(row["gender"])] for row in rows_of(predicted)}
    assert set(about["groups"]) == genders
    assert about["labels"]["predicted"] is True
    assert run(f"report {tmp_path / 'm'} -d {tmp_path / 'r'} --fmr 0.5")[0] == 0
    assert "The groups are predictions of a model" in (tmp_path / "r" / "report.html").read_text()


def test_predictions_and_their_columns_in_the_index_are_the_same(
    run: Run, folder: Path, predicted: Path, tmp_path: Path
) -> None:
    assert run(f"extract -s {folder} -d {tmp_path / 'f'} --labels {predicted}")[0] == 0
    found = {row["path"]: row for row in rows_of(tmp_path / "f" / "index.csv")}
    for row in rows_of(predicted):
        assert found[row["path"]]["race"] == row["race"]
        assert int(found[row["path"]]["age"]) == int(np.rint(float(row["age"])))


def test_labels_of_other_images_are_named(run: Run, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("path,race,gender,age\nelsewhere/x.jpg,0,0,30\n")
    status, _, err = run(f"extract -s {folder} -d {tmp_path / 'f'} --labels {other}")
    assert status == 2
    assert "has none of the images" in err
    assert "elsewhere/x.jpg" in err
