from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from face_analysis.errors import FeatureSetError, UsageError
from face_analysis.matching.comparison import compare
from face_analysis.matching.features.feature_set import FeatureSet, open_feature_set
from face_analysis.matching.labels import groups_of, original_label, subjects_of
from face_analysis.matching.search import search_sides
from tests.matching.feature_sets import write_set

PATHS = ["x/id7/007_2019_3.jpg", "x/id8/12AB4.png", "9.npy"]


def features(folder: Path, **columns: list[str]) -> FeatureSet:
    return open_feature_set(
        write_set(folder / "set", np.eye(3, dtype=np.float32), {"path": PATHS, **columns})
    )


@pytest.mark.parametrize(
    ("rule", "subjects"),
    [
        ("original", ["007", "12AB4", "9"]),
        ("CHIYA", ["007_2019_", "12AB", ""]),
        ("CHIYA_VAL", ["d7/007_20", "d8/1", ""]),
        ("PUBLIC_IVS", ["id7", "id8", ""]),
        ("folder", ["id7", "id8", ""]),
    ],
)
def test_rules_read_subjects_from_paths(tmp_path: Path, rule: str, subjects: list[str]) -> None:
    found = features(tmp_path)
    if "" in subjects:
        with pytest.raises(UsageError, match=r"1 of 3 rows .*9\.npy"):
            subjects_of(found, rule)
        found = found.without([2])
    assert subjects_of(found, rule) == [subject for subject in subjects if subject]


def test_subjects_come_from_a_column_by_default_the_one_that_is_filled(tmp_path: Path) -> None:
    found = features(tmp_path, subject=["", "", ""], label=["4", "4", "5"], name=["Ann", "Ann", "Bob"])
    assert subjects_of(found) == ["4", "4", "5"]
    assert subjects_of(found, "name") == ["Ann", "Ann", "Bob"]
    found.columns["subject"] = ["p", "", "q"]
    with pytest.raises(UsageError, match="1 of 3 rows"):
        subjects_of(found)
    with pytest.raises(UsageError, match="no column `person`"):
        subjects_of(found, "person")


def test_a_pattern_finds_the_subject_in_the_path(tmp_path: Path) -> None:
    found = features(tmp_path)
    assert subjects_of(found, pattern=r"([0-9]+)[^/]*$") == ["007", "12", "9"]
    for pattern, reason in ((r"id(\d)", "1 of 3 rows"), ("(", "not a regular"), (r"(\d)(\d)", "it alone")):
        with pytest.raises(UsageError, match=reason):
            subjects_of(found, pattern=pattern)


def test_the_message_of_a_set_without_subjects_names_every_way_to_tell_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 of 3 rows") as told:
        subjects_of(features(tmp_path, subject=["", "", ""], label=["", "", ""]))
    for way in (
        "`subject` or `class`",
        "--subject folder",
        "--subject COLUMN",
        "original",
        "--subject_pattern",
    ):
        assert way in str(told.value)


def test_the_original_system_knows_a_picture_by_its_folder_and_stem() -> None:
    assert [original_label(path) for path in PATHS] == ["id7/007_2019_3", "id8/12AB4", "9"]


def test_groups_have_names_and_are_unknown_where_a_column_does_not_say(tmp_path: Path) -> None:
    found = features(tmp_path, race=["1", "", "4"], age=["71", "33", "-1"], country=["CH", "", "IN"])
    assert groups_of(found, ["race"]) == ["african-american", "", "other"]
    assert groups_of(found, ["race", "age"]) == ["african-american/70+", "", ""]
    assert groups_of(found, ["country"]) == ["CH", "", "IN"]
    assert groups_of(found, []) == ["", "", ""]
    found.columns["gender"] = ["0", "1", "female"]
    with pytest.raises(FeatureSetError, match="female"):
        groups_of(found, ["gender"])


def test_names_are_not_compared_with_class_codes_and_codes_of_two_sources_are_said_to_be_alike(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = features(tmp_path / "a", subject=["Ann", "Bob", "Cy"], label=["1", "2", "3"])
    other = features(tmp_path / "b", subject=["", "", ""], label=["1", "2", "3"])
    with pytest.raises(UsageError, match="one tells people by `subject`, the other by `label`"):
        compare(one, other)
    assert compare(one, other, subject="label").subjects == ["1", "2", "3"]
    assert "by `subject`, the other by `label`" in search_sides(one, other).unknown
    compare(other, replace(other, source="/data/other"))
    assert "equal codes of" in caplog.text
    caplog.clear()
    compare(other)
    compare(other, other)
    assert caplog.text == ""
