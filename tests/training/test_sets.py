"""Verification sets of a training: judged before its first step."""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.errors import (
    EmptyDataError,
    FaceAnalysisError,
    MissingFileError,
    PackedFileError,
    UsageError,
)
from face_analysis.training.options import TrainOptions
from face_analysis.training.sets import val_sets

MakeOptions = Callable[..., TrainOptions]
Bin = Callable[..., Path]


@pytest.fixture
def write_bin(people: Path, tmp_path: Path) -> Bin:
    """Writes `tmp_path/sets/NAME.bin` of pairs with these truths; some of its images may be cut short."""
    images = [Path(name).read_bytes() for name in read_image_list(people).images]

    def write(name: str, truths: list[bool], broken: tuple[int, ...] = ()) -> Path:
        chosen = [images[number % len(images)] for number in range(2 * len(truths))]
        encoded = [image[:300] if number in broken else image for number, image in enumerate(chosen)]
        path = tmp_path / "sets" / f"{name}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps((encoded, truths), protocol=4))
        return path

    return write


@pytest.fixture
def opened(recognition: MakeOptions, tmp_path: Path) -> Callable[..., list[str]]:
    """The names of the sets that `--val_list` with these words opens in `tmp_path/sets`."""

    def names(*words: str) -> list[str]:
        sets = val_sets(recognition(val_source=tmp_path / "sets", val_list=words))
        return [pair_set.path.stem for pair_set in sets]

    return names


GOOD = [True, False] * 10


@pytest.mark.parametrize(
    ("truths", "message"),
    [
        ([True] * 12, "12 pairs of one person and 0 of two; verification needs both"),
        ([False] * 12, "0 pairs of one person and 12 of two"),
        ([True], "1 pairs of one person and 0 of two"),
        ([True, False], "too few"),
        ([True, True, False], "too few"),
        ([False] * 15 + [True], "too few"),
    ],
)
def test_a_set_that_no_accuracy_can_be_taken_of_is_refused(
    write_bin: Bin, opened: Callable[..., list[str]], truths: list[bool], message: str
) -> None:
    write_bin("good", GOOD)
    write_bin("poor", truths)
    with pytest.raises(EmptyDataError, match=rf"poor\.bin: .*{message}"):
        opened("good", "poor")


def test_the_pairs_that_can_be_read_are_what_is_judged(
    write_bin: Bin, opened: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    write_bin("partly", GOOD, broken=(0, 7))
    assert opened("partly") == ["partly"]
    assert "2 pairs have an image that cannot be read" in caplog.text
    write_bin("lost", [True, True, *[False] * 10], broken=(0, 3))
    with pytest.raises(EmptyDataError, match="0 pairs of one person and 10 of two"):
        opened("lost")
    write_bin("nothing", GOOD, broken=tuple(range(40)))
    with pytest.raises(EmptyDataError, match="no pair is left"):
        opened("nothing")


def test_few_pairs_are_judged_and_told(
    write_bin: Bin, opened: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_bin("four", [True, False, False, True])
    assert opened("four") == ["four"]
    assert "2 pairs of one person and 2 of two" in caplog.text
    assert "in 4 folds" in caplog.text
    assert "4 pairs; each counts for 25 % of accuracy" in caplog.text


def test_a_set_that_is_not_there_is_a_warning_beside_others_and_else_an_error(
    write_bin: Bin, opened: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    write_bin("lfw", GOOD)
    write_bin("agedb_30", GOOD)
    assert opened("[lfw,", "cpf_fp,", "agedb_30]") == ["lfw", "agedb_30"]
    assert "cpf_fp; the score is of the other sets alone" in caplog.text
    with pytest.raises(MissingFileError, match="calfw"):
        opened("calfw", "cplfw")


@pytest.mark.parametrize(
    "words",
    [
        ("[lfw,", "cpf_fp,", "agedb_30]"),
        ("['lfw', 'cpf_fp', 'agedb_30']",),
        ('["lfw","cfp_fp","agedb_30"]',),
        ("lfw,cfp_fp,agedb_30",),
        ("lfw", "cfp_fp.bin", "agedb_30"),
    ],
)
def test_the_names_may_come_as_a_shell_hands_a_python_list_over(
    write_bin: Bin, opened: Callable[..., list[str]], caplog: pytest.LogCaptureFixture, words: tuple[str, ...]
) -> None:
    for name in ("lfw", "cfp_fp", "agedb_30"):
        write_bin(name, GOOD)
    assert opened(*words) == ["lfw", "cfp_fp", "agedb_30"]
    assert caplog.records == []


@pytest.mark.parametrize("content", [b"", b"no pickle at all", pickle.dumps({"pairs": 3})])
def test_a_set_that_cannot_be_read_is_refused_though_others_can(
    write_bin: Bin, opened: Callable[..., list[str]], content: bytes
) -> None:
    write_bin("lfw", GOOD)
    write_bin("cfp_fp", GOOD).write_bytes(content)
    with pytest.raises(PackedFileError, match=r"cfp_fp\.bin"):
        opened("lfw", "cpf_fp")


def test_a_set_whose_folder_lacks_a_file_is_refused_and_not_left_out(
    write_bin: Bin, opened: Callable[..., list[str]], sets: Path, tmp_path: Path
) -> None:
    write_bin("lfw", GOOD)
    shutil.copytree(sets / "one", tmp_path / "sets" / "cfp_fp")
    (tmp_path / "sets" / "cfp_fp" / "images.npy").unlink()
    for name in ("cfp_fp", "cpf_fp"):
        with pytest.raises(FaceAnalysisError, match=r"images\.npy"):
            opened("lfw", name)


def test_a_set_counts_once_and_two_of_one_name_are_refused(
    write_bin: Bin, opened: Callable[..., list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = write_bin("lfw", GOOD)
    assert opened("lfw", "lfw.bin") == ["lfw"]
    assert "named twice" in caplog.text
    (tmp_path / "sets" / "other").mkdir()
    shutil.copy(first, tmp_path / "sets" / "other" / "lfw.bin")
    with pytest.raises(UsageError, match="have one name"):
        opened("lfw", "other/lfw")
