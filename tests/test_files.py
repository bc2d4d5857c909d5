from __future__ import annotations

import csv
from pathlib import Path

import pytest

from face_analysis.errors import WriteError
from face_analysis.files import FailureLog, whole_file, write_csv, write_text
from face_analysis.types import ImageFailure


def test_a_file_keeps_its_old_content_when_writing_fails_half_way(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError), whole_file(path) as partial:
        partial.write_text("half\ud800", encoding="utf-8")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"file/x\.txt"):
        write_text(tmp_path / "file" / "x.txt", "new")


def test_failures_are_recorded_once_each_and_kept_over_a_resume(tmp_path: Path) -> None:
    log = FailureLog(tmp_path / "errors.csv")
    log.add([ImageFailure("a, b.jpg", "cut"), ImageFailure("c.jpg", "no\nimage")])
    log.add([ImageFailure("a, b.jpg", "cut")])
    resumed = FailureLog(tmp_path / "errors.csv", keep=True)
    resumed.add([ImageFailure("c.jpg", "again"), ImageFailure("d.jpg", "new")])
    with (tmp_path / "errors.csv").open(newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    assert rows == [("path", "reason"), ("a, b.jpg", "cut"), ("c.jpg", "no\nimage"), ("d.jpg", "new")]
    assert resumed.report() == 1


def test_a_fresh_record_forgets_an_earlier_run(tmp_path: Path) -> None:
    FailureLog(tmp_path / "errors.csv").add([ImageFailure("a.jpg", "cut")])
    assert FailureLog(tmp_path / "errors.csv").report() == 0
    assert not (tmp_path / "errors.csv").exists()


def test_a_table_keeps_every_line_end_inside_a_cell_and_ends_lines_in_lf(tmp_path: Path) -> None:
    rows = [["a\rb", "c"], ["\r", "d\r\ne"], ["f\n", 'g"']]
    write_csv(tmp_path / "t.csv", ["x", "y"], rows)
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["x", "y"], *rows]
    assert (tmp_path / "t.csv").read_bytes().startswith(b"x,y\n")
