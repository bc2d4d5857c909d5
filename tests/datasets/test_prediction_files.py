from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from face_analysis.datasets.attributes import GENDERS, RACES
from face_analysis.datasets.predictions.files import WHERE_COLUMNS, PredictionColumns, write_predictions
from face_analysis.datasets.predictions.tables import read_predictions
from face_analysis.errors import (
    EmptyDataError,
    ListFormatError,
    MissingFileError,
    UsageError,
    WriteError,
)
from face_analysis.types import AgeEstimate, ClassEstimate, Detection, Face

FULL = Path("/dev/full")
ALL = PredictionColumns(("race", "gender", "age"))
HEADER = (
    "path,race,race_label,race_caucasian,race_african-american,race_asian,race_indian,race_other,"
    "gender,gender_label,gender_female,gender_male,age,age_count"
)
ODD_PATHS = [
    "plain.jpg",
    "with space/a b.jpg",
    'comma, "quoted".jpg',
    "Zoë/顔/é.png",
    "line\nbreak.jpg",
    "carriage\rreturn.jpg",
    os.fsdecode(b"latin-\xe9.jpg"),
    " leading and trailing ",
]


def faces(paths: list[str], seed: int = 0) -> Iterator[Face]:
    rng = np.random.default_rng(seed)
    for number, path in enumerate(paths):
        years = float(rng.uniform(0, 100))
        landmarks = rng.uniform(0, 300, (5, 2)).astype(np.float32)
        found = Detection((1.234, 2.0, 30.456, 40.0), landmarks, 0.87654321)
        yield Face(
            path,
            None if number % 3 == 2 else found,
            ClassEstimate(RACES, rng.dirichlet(np.ones(5)).astype(np.float32)),
            ClassEstimate(GENDERS, rng.dirichlet(np.ones(2)).astype(np.float32)),
            AgeEstimate(years, int(rng.integers(0, 101)), max(0, int(years) - 5), int(years) + 5),
        )


def age_record(path: str = "a.jpg") -> dict[str, Any]:
    return PredictionColumns(("age",)).record(Face(path, age=AgeEstimate(31.4, 29)))


def test_columns_are_those_documented_in_the_order_of_the_attributes() -> None:
    assert ",".join(PredictionColumns(("age", "gender", "race")).names) == HEADER
    assert PredictionColumns(("age",)).names == ("path", "age", "age_count")
    assert PredictionColumns(("age",), located=True, intervals=True).names == (
        "path",
        *WHERE_COLUMNS,
        *("age", "age_low", "age_high", "age_count"),
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path, rows = tmp_path / "new" / "p.csv", list(faces(ODD_PATHS))
    assert write_predictions(path, ALL, map(ALL.record, rows)) == len(rows)
    table = read_predictions(path)
    assert table.images == ODD_PATHS
    race, gender = ([getattr(row, name).probabilities for row in rows] for name in ("race", "gender"))
    assert table.values["race"].tolist() == [int(np.argmax(row)) for row in race]
    assert table.values["gender"].tolist() == [int(row[1] > row[0]) for row in gender]
    np.testing.assert_allclose(table.values["age"], [row.age.years for row in rows if row.age], atol=0.005001)
    np.testing.assert_allclose(table.probabilities["race"], race, atol=6e-7)
    np.testing.assert_allclose(table.probabilities["gender"], gender, atol=6e-7)
    assert table.age_count is not None
    assert table.age_count.tolist() == [row.age.count for row in rows if row.age]


def test_the_csv_is_plain_enough_for_the_csv_module(tmp_path: Path) -> None:
    path, columns = tmp_path / "p.csv", PredictionColumns(("gender", "age"))
    gender = ClassEstimate(GENDERS, np.array([0.25, 0.75], np.float32))
    write_predictions(
        path, columns, [columns.record(Face("a, b.jpg", None, None, gender, AgeEstimate(31.456, 30)))]
    )
    assert path.read_bytes().count(b"\r") == 0
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {
                "path": "a, b.jpg",
                "gender": "1",
                "gender_label": "male",
                "gender_female": "0.250000",
                "gender_male": "0.750000",
                "age": "31.46",
                "age_count": "30",
            }
        ]


def test_csv_json_lines_and_parquet_say_the_same_of_every_face(tmp_path: Path) -> None:
    columns = PredictionColumns(("race", "gender", "age"), located=True, intervals=True)
    paths = [path for path in ODD_PATHS if path.isprintable() or path.isascii()]
    records = [columns.record(face, number) for number, face in enumerate(faces(paths))]
    for layout in ("csv", "jsonl", "parquet"):
        write_predictions(tmp_path / layout, columns, records, layout)  # type: ignore[arg-type]
    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == records
    assert pq.read_table(tmp_path / "parquet").to_pylist() == records
    with (tmp_path / "csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, record in zip(rows, records, strict=True):
        assert row.keys() == record.keys()
        for name, value in record.items():
            if isinstance(value, float):
                assert float(row[name]) == value
            else:
                assert row[name] == ("" if value is None else str(value))


def test_a_record_says_where_the_face_was() -> None:
    columns = PredictionColumns(("age",), located=True, intervals=True)
    face, _, whole = faces(["a", "b", "c"])
    record = columns.record(face, 4)
    assert face.detection is not None
    assert [record[name] for name in ("face", "x", "y", "width", "height", "score")] == [
        *(4, 1.23, 2.0, 30.46, 40.0, 0.876543)
    ]
    corners = [record["right_mouth_x"], record["right_mouth_y"]]
    assert corners == pytest.approx(face.detection.landmarks[4].tolist(), abs=0.0051)
    assert columns.record(whole)["x"] is None


def test_parquet_keeps_a_name_that_is_no_utf8_as_near_as_it_can(tmp_path: Path) -> None:
    record = age_record(os.fsdecode(b"latin-\xe9.jpg"))
    write_predictions(tmp_path / "p", PredictionColumns(("age",)), [record], "parquet")
    assert pq.read_table(tmp_path / "p").to_pylist()[0]["path"] == "latin-\ufffd.jpg"


def test_text_layout_is_the_original_with_its_count_decoding(tmp_path: Path) -> None:
    path, columns = tmp_path / "p.txt", PredictionColumns(("race", "age"))
    race = ClassEstimate(RACES, np.array([0.1, 0.1, 0.6, 0.1, 0.1], np.float32))
    record = columns.record(Face("x y.jpg", race=race, age=AgeEstimate(31.4, 29)))
    assert write_predictions(path, columns, [record], "original") == 1
    assert path.read_bytes() == b"x y.jpg 2 29.0\n"


def test_text_layout_refuses_a_path_with_a_line_break(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="CSV"):
        write_predictions(tmp_path / "p", PredictionColumns(("age",)), [age_record("a\nb")], "original")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", ["csv", "jsonl", "parquet", "original"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_on_the_way_keeps_the_earlier_file_and_leaves_nothing_else(
    tmp_path: Path, error: type[BaseException], layout: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text("before")

    def records() -> Iterator[dict[str, Any]]:
        yield age_record()
        assert path.read_text() == "before"
        raise error

    with pytest.raises(error):
        write_predictions(path, PredictionColumns(("age",)), records(), layout)  # type: ignore[arg-type]
    assert [found.name for found in tmp_path.iterdir()] == ["p.csv"]
    assert path.read_text() == "before"


def test_a_face_without_an_attribute_of_the_file_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"a\.jpg has no race"):
        PredictionColumns(("race",)).record(Face("a.jpg", age=AgeEstimate(1.0, 1)))


def test_a_folder_of_the_same_name_is_a_write_error_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(WriteError, match=r"p\.csv"):
        write_predictions(tmp_path / "p.csv", PredictionColumns(("age",)), [age_record()])
    assert [found.name for found in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("rows", [1, 20_000])
def test_a_full_disk_is_a_write_error_whether_met_while_writing_or_when_closing(
    tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(self: Path, *args: Any, **kwargs: Any) -> Any:
        written = self.suffix == ".partial" and args[:1] == ("w",)
        return real(FULL if written else self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(WriteError, match="No space"):
        write_predictions(tmp_path / "p.csv", PredictionColumns(("age",)), [age_record()] * rows)
    assert list(tmp_path.iterdir()) == []


def test_a_task_without_a_model_has_no_column(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("path,age,age_count\na.jpg,31.50,31\n")
    table = read_predictions(path)
    assert set(table.values) == {"age"}
    assert table.probabilities == {}


def test_other_columns_their_order_and_a_byte_order_mark_do_not_matter(tmp_path):
    path = tmp_path / "p.csv"
    text = "\ufeffnote,gender_male,gender,gender_female,path\nx,0.75,1,0.25,a.jpg\n\n"
    path.write_text(text, encoding="utf-8")
    table = read_predictions(path)
    assert (table.images, table.values["gender"].tolist()) == (["a.jpg"], [1])
    assert table.probabilities["gender"].tolist() == [[0.25, 0.75]]


AGES = "path,age,age_count\na.jpg,30.00,30\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (AGES + "b.jpg,20.00,20\na.jpg,31.00,31\n", 4, "a.jpg is here a second time; first in line 2"),
        (AGES + "b.jpg,20.00\n", 3, "2 fields; the header has 3"),
        (AGES + "b.jpg,old,20\n", 3, "old"),
        (AGES + "b.jpg,nan,20\n", 3, "age is nan"),
        (AGES + "b.jpg,20.00,101\n", 3, "age_count is 101"),
        (AGES + "b.jpg,20.00,20.5\n", 3, "age_count is 20.5"),
        ("path,age\na.jpg,30\n", 1, "age_count"),
        ("a.jpg 0 1 30\n", 1, "lacks path, all of race, gender, age"),
        ("", 1, "lacks path, all of race, gender, age"),
        ("path,gender,gender_female,gender_male\na,2,0.5,0.5\n", 2, "gender is 2"),
        ("path,gender,gender_female,gender_male\na,1,-0.5,1.5\n", 2, "gender_female is -0.5"),
        ('path,age,age_count\n"a,30.00,30\n', 2, ""),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(tmp_path, text, line, reason):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ListFormatError) as caught:
        read_predictions(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert reason in str(caught.value)


def test_a_file_without_rows_or_a_missing_file_is_named(tmp_path):
    (tmp_path / "p.csv").write_text("path,age,age_count\n")
    with pytest.raises(EmptyDataError, match=r"p\.csv"):
        read_predictions(tmp_path / "p.csv")
    with pytest.raises(MissingFileError, match=r"absent\.csv"):
        read_predictions(tmp_path / "absent.csv")
