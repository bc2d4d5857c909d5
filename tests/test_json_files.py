from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from face_analysis.files import write_csv
from face_analysis.json_files import json_text, with_reasons, write_json


def test_what_is_not_a_number_is_null_with_a_reason_beside_it(tmp_path: Path) -> None:
    value = {
        "rate": math.nan,
        "told": math.inf,
        "told_reason": "no pairs",
        "inside": {"low": -math.inf, "high": 0.5},
        "many": [1.0, float("nan"), (math.inf,)],
        "scalar": np.float64("nan"),
    }
    write_json(tmp_path / "a.json", value)
    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert found == {
        "rate": None,
        "rate_reason": "not a finite number",
        "told": None,
        "told_reason": "no pairs",
        "inside": {"low": None, "low_reason": "not a finite number", "high": 0.5},
        "many": [1.0, None, [None]],
        "scalar": None,
        "scalar_reason": "not a finite number",
    }


def test_other_values_are_written_as_json_writes_them() -> None:
    value = {"b": [1, 2.5, "x", None, True], "a": {"c": 0.1}}
    assert json_text(value) == json.dumps(value)
    assert json_text(value, indent=1, sort_keys=True) == json.dumps(value, indent=1, sort_keys=True)


def test_reasons_stand_beside_what_is_none_alone() -> None:
    figures = {"rate": 0.0, "distance": None, "count": None}
    assert with_reasons(figures, {"rate": "no", "distance": "why"}) == {
        "rate": 0.0,
        "distance": None,
        "distance_reason": "why",
        "count": None,
    }


def test_csv_files_have_empty_cells_for_what_is_not_a_number(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("a", "b", "c"), [(math.nan, None, 0.5), (np.float64("inf"), 0, "nan")])
    assert (tmp_path / "a.csv").read_text() == "a,b,c\n,,0.5\n,0,nan\n"
