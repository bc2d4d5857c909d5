from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from face_analysis.reports.label_counts import counts_csv, labels_csv
from face_analysis.reports.tables import write_table

FORMULAS = (
    "=1+1",
    '=HYPERLINK("http://x.test","see")',
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1,1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\uff1d1+1",
)
"""As OWASP's page on CSV injection has them."""


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_report_begins_like_a_formula(tmp_path: Path, text: str) -> None:
    write_table(tmp_path / "t.csv", ("name", text), [(text, -0.5), ("plain", text)])
    assert cells(tmp_path / "t.csv") == [["name", f"'{text}"], [f"'{text}", "-0.5"], ["plain", f"'{text}"]]


def test_numbers_and_other_text_stay_as_they_are(tmp_path: Path) -> None:
    row = (-0.5, -3, "-0.5", "+1e-5", "-1", "a=b", "x-1", "", None, True, float("nan"), "'quoted'")
    write_table(tmp_path / "t.csv", [str(place) for place in range(len(row))], [row])
    expected = ["-0.5", "-3", "-0.5", "+1e-5", "-1", "a=b", "x-1", "", "", "True", "", "'quoted'"]
    assert cells(tmp_path / "t.csv")[1] == expected


def test_counts_of_a_list_with_such_a_name_are_no_formula() -> None:
    table = np.ones((6, 3, 9), np.int64)
    for text in (counts_csv({"=x": table}), labels_csv("race", {"=x": np.array([0, 1])})):
        assert {line.split(",")[0] for line in text.splitlines()[1:]} == {"'=x"}
