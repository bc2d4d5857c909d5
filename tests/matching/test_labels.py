from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from face_analysis.errors import FeatureSetError, UsageError
from face_analysis.matching.comparison import Comparison, compare
from face_analysis.matching.features.feature_set import FeatureSet, open_feature_set
from face_analysis.matching.labels import groups_of, original_label, subjects_of
from face_analysis.matching.match import match
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
    with pytest.raises(UsageError, match="one names people by `subject`, the other by `label`"):
        compare(one, other)
    assert compare(one, other, subject="label").subjects == ["1", "2", "3"]
    assert "by `subject`, the other by `label`" in search_sides(one, other).unknown
    compare(other, replace(other, source="/data/other"))
    assert "equal codes of" in caplog.text
    caplog.clear()
    compare(other)
    compare(other, other)
    assert caplog.text == ""


def feature_set(folder: Path, paths: list[str], source: Path | None = None) -> FeatureSet:
    embeddings = np.eye(len(paths), 64, dtype=np.float32)
    columns = {"path": paths, "subject": ["Ann"] * len(paths)}
    given = None if source is None else str(source)
    return open_feature_set(write_set(folder, embeddings, columns, given))


def pairs(comparison: Comparison) -> int:
    total = match(comparison).histogram()
    return int(total.mated.sum() + total.non_mated.sum())


@pytest.mark.parametrize(
    "paths",
    [
        ["a/left/7.png", "b/left/7.png", "c/left/7.png"],
        ["person1.sad", "person1.glad", "person1.v2.glad"],
        ["train.rec[1]", "train.rec[2]", "train.rec[30]"],
        ["x/1.jpg", "x/1.png", "x/1.jpg.png"],
        ["data.mdb[0]", "data.mdb[1]", "data.mdb[2]"],
        ["a/1.jpg", "A/1.jpg", "a /1.jpg"],
    ],
)
def test_pictures_of_different_paths_are_compared_whatever_their_folder_and_file_name(
    tmp_path: Path, paths: list[str]
) -> None:
    assert pairs(compare(feature_set(tmp_path / "set", paths))) == 3
    assert pairs(compare(feature_set(tmp_path / "p", paths), feature_set(tmp_path / "g", paths))) == 6


def test_the_same_path_in_two_sources_is_two_pictures_and_in_one_source_one(tmp_path: Path) -> None:
    paths = ["Ann/1.jpg", "Ann/2.jpg"]
    sets = [feature_set(tmp_path / name, paths, Path("/data") / name) for name in ("probe", "gallery")]
    assert pairs(compare(*sets)) == 4
    again = feature_set(tmp_path / "again", paths, Path("/data/gallery"))
    assert pairs(compare(again, sets[1])) == 2


def test_one_file_under_several_ways_to_write_its_path_is_one_picture(tmp_path: Path) -> None:
    (tmp_path / "data" / "faces").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    data = (tmp_path / "data").resolve()
    ways = [
        (["faces/1.jpg"], data),
        (["1.jpg"], data / "faces"),
        (["./faces//1.jpg"], data),
        (["../faces/1.jpg"], data / "other"),
        ([str(tmp_path / "link" / "faces" / "1.jpg")], Path("/elsewhere")),
        ([str(data / "faces" / "1.jpg")], Path("/elsewhere")),
    ]
    sets = [feature_set(tmp_path / f"set{n}", paths, source) for n, (paths, source) in enumerate(ways)]
    other = feature_set(tmp_path / "not", ["faces/11.jpg"], data)
    for one in sets:
        assert pairs(compare(one, sets[0])) == 0
        assert pairs(compare(one, other)) == 1


def test_paths_are_compared_as_written_where_a_set_does_not_say_its_source(tmp_path: Path) -> None:
    silent = feature_set(tmp_path / "silent", ["Ann/1.jpg", "Ann/2.jpg"])
    told = feature_set(tmp_path / "told", ["Ann/1.jpg", "Bob/1.jpg"], Path("/data"))
    assert pairs(compare(silent, told)) == 3


def test_faces_of_one_photo_are_never_compared(tmp_path: Path) -> None:
    both = feature_set(tmp_path / "set", ["group.jpg", "group.jpg", "alone.jpg"], Path("/data"))
    assert pairs(compare(both)) == 2
    assert pairs(compare(both, both)) == 4


def test_the_original_command_compares_no_equal_folder_and_stem(tmp_path: Path) -> None:
    found = feature_set(tmp_path / "set", ["x/Ann/1.npy", "y/Ann/1.npy", "y/Ann/2.npy"])
    assert (pairs(compare(found, original=True)), pairs(compare(found))) == (2, 3)
    assert list(compare(found, original=True).probes.labels) == ["Ann/1", "Ann/1", "Ann/2"]
