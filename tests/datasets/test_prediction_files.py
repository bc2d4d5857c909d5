from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from face_analysis.datasets.prediction_files import PredictionWriter, prediction_columns
from face_analysis.datasets.prediction_tables import read_predictions
from face_analysis.errors import (
    EmptyDataError,
    ListFormatError,
    MissingFileError,
    UsageError,
    WriteError,
)
from face_analysis.types import Prediction

FULL = Path("/dev/full")
HEADER = (
    "path,race,race_caucasian,race_african-american,race_asian,race_indian,race_other,"
    "gender,gender_female,gender_male,age,age_count"
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


def predictions(paths, seed=0):
    rng = np.random.default_rng(seed)
    for path in paths:
        yield Prediction(
            path,
            rng.dirichlet(np.ones(5)).astype(np.float32),
            rng.dirichlet(np.ones(2)).astype(np.float32),
            float(rng.uniform(0, 100)),
            int(rng.integers(0, 101)),
        )


def test_columns_are_those_documented_and_follow_the_attributes():
    assert ",".join(prediction_columns(["age", "gender", "race"])) == HEADER
    assert prediction_columns(["gender"]) == ("path", "gender", "gender_female", "gender_male")
    assert prediction_columns(["age"]) == ("path", "age", "age_count")


def test_what_is_written_is_read_back(tmp_path):
    path, rows = tmp_path / "new" / "p.csv", list(predictions(ODD_PATHS))
    with PredictionWriter(path, ["race", "gender", "age"]) as writer:
        writer.write(rows[:3])
        writer.write(rows[3:])
    assert writer.count == len(rows)
    table = read_predictions(path)
    assert table.images == ODD_PATHS
    assert table.values["race"].tolist() == [int(np.argmax(row.race)) for row in rows]
    assert table.values["gender"].tolist() == [int(row.gender[1] > row.gender[0]) for row in rows]
    np.testing.assert_allclose(table.values["age"], [row.age for row in rows], atol=0.005001)
    np.testing.assert_allclose(table.probabilities["race"], [row.race for row in rows], atol=6e-7)
    np.testing.assert_allclose(table.probabilities["gender"], [row.gender for row in rows], atol=6e-7)
    assert table.age_count.tolist() == [row.age_count for row in rows]


def test_the_csv_is_plain_enough_for_the_csv_module(tmp_path):
    path = tmp_path / "p.csv"
    with PredictionWriter(path, ["gender", "age"]) as writer:
        writer.write([Prediction("a, b.jpg", None, np.array([0.25, 0.75], np.float32), 31.456, 30)])
    assert path.read_bytes().count(b"\r") == 0
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {
                "path": "a, b.jpg",
                "gender": "1",
                "gender_female": "0.250000",
                "gender_male": "0.750000",
                "age": "31.46",
                "age_count": "30",
            }
        ]


def test_text_layout_is_the_original_with_its_count_decoding(tmp_path):
    path = tmp_path / "p.txt"
    race = np.array([0.1, 0.1, 0.6, 0.1, 0.1], np.float32)
    with PredictionWriter(path, ["age", "race"], "original") as writer:
        writer.write([Prediction("x y.jpg", race, None, 31.4, 29)])
    assert path.read_bytes() == b"x y.jpg 2 29\n"


def test_text_layout_refuses_a_path_with_a_line_break(tmp_path):
    with (
        pytest.raises(UsageError, match="CSV"),
        PredictionWriter(tmp_path / "p", ["age"], "original") as writer,
    ):
        writer.write([Prediction("a\nb", age=3.0, age_count=3)])
    assert list(tmp_path.iterdir()) == []


def write_and_fail(path, error):
    with PredictionWriter(path, ["race", "gender", "age"]) as writer:
        writer.write(predictions(["a"]))
        assert path.read_text() == "before"
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_on_the_way_keeps_the_earlier_file_and_leaves_nothing_else(tmp_path, error):
    path = tmp_path / "p.csv"
    path.write_text("before")
    with pytest.raises(error):
        write_and_fail(path, error)
    assert [found.name for found in tmp_path.iterdir()] == ["p.csv"]
    assert path.read_text() == "before"


def test_a_prediction_without_an_attribute_of_the_file_is_refused_by_name(tmp_path):
    with (
        pytest.raises(UsageError, match=r"a\.jpg has no race"),
        PredictionWriter(tmp_path / "p", ["race"]) as writer,
    ):
        writer.write([Prediction("a.jpg", age=1.0, age_count=1)])


def test_a_folder_of_the_same_name_is_a_write_error_and_nothing_is_left(tmp_path):
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(WriteError, match=r"p\.csv"), PredictionWriter(tmp_path / "p.csv", ["age"]) as writer:
        writer.write([Prediction("a", age=1.0, age_count=1)])
    assert [found.name for found in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("rows", [1, 20_000])
def test_a_full_disk_is_a_write_error_whether_met_while_writing_or_when_closing(tmp_path, rows, monkeypatch):
    real = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, *args, **kwargs: real(FULL if self.suffix == ".partial" else self, *args, **kwargs),
    )
    with pytest.raises(WriteError, match="No space"), PredictionWriter(tmp_path / "p.csv", ["age"]) as writer:
        writer.write([Prediction("a", age=1.0, age_count=1)] * rows)
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
