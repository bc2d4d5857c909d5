from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from face_analysis.datasets.attributes import GENDERS, RACES
from face_analysis.datasets.predictions.files import (
    SUFFIXES,
    PredictionColumns,
    PredictionLayout,
    write_predictions,
)
from face_analysis.datasets.predictions.tables import read_predictions
from face_analysis.errors import EmptyDataError, ListFormatError, UsageError
from face_analysis.types import AgeEstimate, ClassEstimate, Detection, Face

COLUMNS = PredictionColumns(("race", "gender", "age"), located=True, intervals=True)


def face(path: str, number: int = 0, width: float = 40, code: int = 0) -> dict[str, Any]:
    races, genders = np.full(5, 0.1, np.float32), np.full(2, 0.25, np.float32)
    races[code % 5], genders[code % 2] = 0.6, 0.75
    found = Detection((1, 2, width, 50), np.zeros((5, 2), np.float32), 0.9)
    age = AgeEstimate(30.5 + code, 30 + code, 20, 50)
    return COLUMNS.record(
        Face(path, found, ClassEstimate(RACES, races), ClassEstimate(GENDERS, genders), age), number
    )


@pytest.mark.parametrize("layout", ["csv", "jsonl", "parquet", "original"])
def test_every_form_that_predict_writes_is_read_with_the_same_values(
    tmp_path: Path, layout: PredictionLayout
) -> None:
    names = ["a b/1 2.jpg", "comma, 3.jpg", "Zo\u00eb.jpg", "9"]
    path = tmp_path / f"p{SUFFIXES[layout]}"
    write_predictions(path, COLUMNS, [face(name, code=code) for code, name in enumerate(names)], layout)
    table = read_predictions(path)
    assert table.images == names
    assert table.values["race"].tolist() == [0, 1, 2, 3]
    assert table.values["gender"].tolist() == [0, 1, 0, 1]
    if layout == "original":
        assert (table.values["age"].tolist(), table.probabilities) == ([30, 31, 32, 33], {})
        return
    assert table.values["age"].tolist() == [30.5, 31.5, 32.5, 33.5]
    assert table.age_count is not None
    assert table.age_count.tolist() == [30, 31, 32, 33]
    np.testing.assert_allclose(table.probabilities["race"][2], [0.1, 0.1, 0.6, 0.1, 0.1], atol=1e-6)


@pytest.mark.parametrize("layout", ["csv", "jsonl", "parquet"])
def test_the_largest_face_of_each_photo_is_taken_where_asked(
    tmp_path: Path, layout: PredictionLayout
) -> None:
    records = [
        *(
            face("two.jpg", number, width, code)
            for number, width, code in ((0, 30, 1), (1, 80, 2), (2, 79, 3))
        ),
        face("one.jpg", code=4),
        face("two.jpg", 3, 80, 0),
        {**face("whole.jpg", code=3), **dict.fromkeys(("x", "y", "width", "height", "score"))},
    ]
    path = tmp_path / f"p{SUFFIXES[layout]}"
    write_predictions(path, COLUMNS, records, layout)
    table = read_predictions(path, faces="largest")
    assert (table.images, table.left_out) == (["two.jpg", "one.jpg", "whole.jpg"], 3)
    assert table.values["race"].tolist() == [2, 4, 3]
    with pytest.raises(ListFormatError, match=r"two.jpg is here a second time.*--faces largest"):
        read_predictions(path)
    write_predictions(path, COLUMNS, [*records, records[1]], layout)
    with pytest.raises(ListFormatError, match=r"face 1 of two.jpg is here a second time"):
        read_predictions(path, faces="largest")


def test_several_faces_without_boxes_are_to_be_predicted_again(tmp_path: Path) -> None:
    plain = replace(COLUMNS, located=False)
    records = [{name: face("two.jpg")[name] for name in plain.names}] * 2
    for layout in ("csv", "original"):
        path = tmp_path / f"p{SUFFIXES[layout]}"
        write_predictions(path, plain, records, layout)
        with pytest.raises(ListFormatError, match=r"second time.*predict with --faces largest"):
            read_predictions(path, faces="largest")


@pytest.mark.parametrize(
    ("line", "named", "values"),
    [
        ("my 1.jpg 3 1 47.0", (), {"race": [3], "gender": [1], "age": [47]}),
        ("my 1.jpg 3 1", (), {"race": [3], "gender": [1]}),
        ("my 1.jpg 47.0", (), {"age": [47]}),
        ("my 1.jpg 4 47.0", ("age", "race"), {"race": [4], "age": [47]}),
        ("my 1.jpg 1", ("gender",), {"gender": [1]}),
        ("my 7 1", ("gender",), {"gender": [1]}),
    ],
)
def test_the_numbers_of_the_originals_text_are_told_by_their_form_or_by_name(
    tmp_path: Path, line: str, named: Any, values: dict[str, list[int]]
) -> None:
    (tmp_path / "p.txt").write_text(f"{line}\n\n")
    table = read_predictions(tmp_path / "p.txt", attributes=named)
    assert {name: found.tolist() for name, found in table.values.items()} == values
    assert table.images == [line.rsplit(" ", len(values))[0]]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("p.txt", "a.jpg 1\n", "--attributes"),
        ("p.txt", "a.jpg 1 30.0\n", "--attributes"),
        ("p.txt", "a.jpg\n", "no number at the end"),
        ("p.txt", "a.jpg 1 0 30.0\nb.jpg 1 0\n", "expected a path and 3 numbers"),
        ("p.jsonl", '[{"path": "a"}]\n', "JSON Lines"),
        ("metrics.json", '{\n "images": 3\n}\n', "JSON Lines"),
        ("p.jsonl", '{"path": "a", "age": 3, "age_count": 3}\n{"path": "b", "age": 3}\n', "age_count"),
        ("p.jsonl", '{"path": "a", "age": null, "age_count": 3}\n', "found nothing"),
        ("index.csv", "row,path,subject,label\n0,a.jpg,,\n", "index of a feature set"),
        ("errors.csv", "path,reason\na.jpg,broken\n", "could not be used"),
        ("labels.csv", "path,race,gender,age\na.jpg,0,1,30\n", "list of labels"),
    ],
)
def test_files_of_another_kind_or_form_are_named_as_what_they_are(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ListFormatError, match=reason):
        read_predictions(tmp_path / name)


def test_pictures_arrays_folders_and_damaged_tables_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    write_predictions(tmp_path / "p.parquet", COLUMNS, [face("a.jpg")], "parquet")
    whole = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(whole[: len(whole) // 2])
    told = {
        "a.npy": "a NumPy array",
        "a.jpg": "a JPEG picture",
        "p.parquet": "damaged Parquet",
        ".": "a folder",
    }
    for name, reason in told.items():
        with pytest.raises(UsageError, match=reason):
            read_predictions(tmp_path / name)
    for name in ("none.parquet", "none.jsonl"):
        write_predictions(tmp_path / name, COLUMNS, [], name.split(".")[1])  # type: ignore[arg-type]
    with pytest.raises(EmptyDataError, match=r"none\.parquet"):
        read_predictions(tmp_path / "none.parquet")


def test_a_number_that_is_none_in_json_is_refused_by_its_line(tmp_path: Path) -> None:
    rows = [face("a.jpg"), {**face("b.jpg"), "age": float("nan")}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ListFormatError, match=r"p\.jsonl:2: age is nan"):
        read_predictions(tmp_path / "p.jsonl")


@pytest.mark.parametrize("layout", ["csv", "jsonl", "parquet"])
def test_what_is_not_a_number_is_written_as_nothing(tmp_path: Path, layout: PredictionLayout) -> None:
    shares = np.array([np.nan, np.inf], np.float32)
    columns = PredictionColumns(("gender", "age"))
    told = Face("a.jpg", None, None, ClassEstimate(GENDERS, shares), AgeEstimate(float("nan"), 3))
    path = tmp_path / f"p{SUFFIXES[layout]}"
    write_predictions(path, columns, [columns.record(told)], layout)
    if layout == "parquet":
        found = pq.read_table(path).to_pylist()[0]
    elif layout == "jsonl":
        found = json.loads(path.read_text(), parse_constant=pytest.fail)
    else:
        found = {name: cell or None for name, cell in next(csv.DictReader(path.open())).items()}
    assert (found["gender_female"], found["gender_male"], found["age"]) == (None, None, None)
