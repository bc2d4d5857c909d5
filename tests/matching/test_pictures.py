from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_analysis.matching.comparison import Comparison, compare
from face_analysis.matching.features.feature_set import FeatureSet, open_feature_set
from face_analysis.matching.match import match
from tests.matching.feature_sets import write_set


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
