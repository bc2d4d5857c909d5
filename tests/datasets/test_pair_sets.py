from __future__ import annotations

import csv
import io
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from sklearn.model_selection import KFold

from face_analysis.datasets.pairs.pairs import Pairs, folds
from face_analysis.datasets.pairs.sets import open_pairs, write_pair_set
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError, PackedFileError
from face_analysis.types import Image

GENERATOR = np.random.default_rng(5)
CHIPS = [GENERATOR.integers(0, 256, (112, 112, 3)).astype(np.uint8) for _ in range(4)]
NAMES = ["a.jpg", "b, c.jpg", 'd "e".jpg', "f\udcff.jpg"]
LISTED = [(0, 1, 1, 0), (1, 2, 0, 0), (2, 3, 1, 1), (3, 0, 0, 2), (0, 2, 0, 2)]


def pairs_of(rows: list[tuple[int, int, int, int]]) -> Pairs:
    first, second, same, fold = np.array(rows, np.int64).T
    return Pairs(first, second, same == 1, fold)


def rows_of(pairs: Pairs) -> list[tuple[int, int, int, int]]:
    columns = (pairs.first, pairs.second, pairs.same.astype(int), pairs.fold)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = [True, True, False, True]
    write_pair_set(tmp_path / "set", NAMES, pairs_of(LISTED), zip(CHIPS, found, strict=True))
    return tmp_path / "set"


@pytest.mark.parametrize("count", [1, 7, 10, 14, 6000, 7001])
def test_folds_are_those_of_scikit_learn_without_shuffling(count: int) -> None:
    expected = np.empty(count, np.int64)
    if count >= 10:
        for number, (_, part) in enumerate(KFold(10).split(np.zeros(count))):
            expected[part] = number
    else:
        expected[:] = range(count)
    np.testing.assert_array_equal(folds(count), expected)


def test_a_set_comes_back_as_written_and_images_stay_on_disk(folder: Path) -> None:
    opened = open_pairs(folder)
    assert isinstance(opened.images, np.memmap)
    np.testing.assert_array_equal(opened.images, CHIPS)
    assert opened.names == NAMES
    assert opened.found.tolist() == [True, True, False, True]
    assert rows_of(opened.pairs) == LISTED
    assert opened.failures == ()


def test_numpy_and_csv_read_the_files_plainly(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["images.csv", "images.npy", "pairs.csv"]
    np.testing.assert_array_equal(np.load(folder / "images.npy"), CHIPS)
    with (folder / "pairs.csv").open(newline="") as file:
        assert [tuple(map(int, row.values())) for row in csv.DictReader(file)] == LISTED
    with (folder / "images.csv").open(newline="", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["path"], row["found"]) for row in rows] == [
        (str(row), name, found) for row, name, found in zip(range(4), NAMES, "1101", strict=True)
    ]


def test_images_that_cannot_be_used_take_their_pairs_along(tmp_path: Path) -> None:
    chips = [(CHIPS[0], True), None, (CHIPS[2], True), (CHIPS[3], True)]
    write_pair_set(tmp_path / "set", NAMES, pairs_of(LISTED), chips)
    opened = open_pairs(tmp_path / "set")
    np.testing.assert_array_equal(opened.images, [CHIPS[0], CHIPS[2], CHIPS[3]])
    assert opened.names == [NAMES[0], NAMES[2], NAMES[3]]
    by_name = [(opened.names[a], opened.names[b], same, fold) for a, b, same, fold in rows_of(opened.pairs)]
    assert by_name == [
        (NAMES[a], NAMES[b], same, fold) for a, b, same, fold in LISTED if chips[a] and chips[b]
    ]


def test_a_set_that_is_not_finished_leaves_the_former_as_it_was(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def broken() -> Iterator[tuple[Image, bool]]:
        yield CHIPS[1], True
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pair_set(folder, NAMES, pairs_of(LISTED), broken())
    with pytest.raises(EmptyDataError, match="no pair is left"):
        write_pair_set(folder, NAMES, pairs_of(LISTED), [None, (CHIPS[1], True), None, None])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("file", "line", "text", "message"),
    [
        ("pairs.csv", 3, "1,4,0,0", r"pairs\.csv:3: expected rows below 4"),
        ("pairs.csv", 3, "1,2,2,0", r"pairs\.csv:3: .*0 or 1 for same"),
        ("pairs.csv", 3, "1,2,0,-1", r"pairs\.csv:3: expected numbers from 0, found 1,2,0,-1"),
        ("pairs.csv", 3, "1,2,0," + "9" * 30, r"pairs\.csv:3: expected numbers"),
        ("pairs.csv", 3, "1,2,0", r"pairs\.csv:3: expected first,second,same,fold"),
        ("pairs.csv", 1, "a,b,same,fold", r"pairs\.csv:1: expected the header"),
        ("pairs.csv", 3, '"1', r"pairs\.csv:\d: broken CSV"),
        ("images.csv", 3, "5,b.jpg,1", r"images\.csv:3: expected row 1"),
        ("images.csv", 3, "1,b.jpg,yes", r"images\.csv:3: .*0 or 1 for found"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, file: str, line: int, text: str, message: str) -> None:
    lines = (folder / file).read_text(errors="surrogateescape").splitlines()
    lines[line - 1] = text
    (folder / file).write_text("\n".join(lines) + "\n", errors="surrogateescape")
    with pytest.raises(ListFormatError, match=message):
        open_pairs(folder)


def test_parts_that_do_not_fit_or_are_missing_are_named(folder: Path) -> None:
    whole = (folder / "images.npy").read_bytes()
    (folder / "images.npy").write_bytes(whole[:-1])
    with pytest.raises(PackedFileError, match=r"images\.npy: \d+ of \d+ bytes are there"):
        open_pairs(folder)
    np.save(folder / "images.npy", np.zeros((3, 112, 112, 3), np.uint8))
    with pytest.raises(PackedFileError, match=r"images\.csv: 4 rows for 3 images"):
        open_pairs(folder)
    other = [np.zeros((4, 112, 112, 3)), np.zeros((4, 96, 112, 3), np.uint8), np.zeros(4, np.uint8)]
    for array in (*other, np.array([{}])):
        np.save(folder / "images.npy", array, allow_pickle=True)
        with pytest.raises(PackedFileError, match=r"images\.npy: expected NumPy's uint8 \(N, 112, 112, 3\)"):
            open_pairs(folder)
    (folder / "images.npy").unlink()
    with pytest.raises(MissingFileError, match=r"images\.npy"):
        open_pairs(folder)
    (folder / "pairs.csv").write_text("first,second,same,fold\n")
    (folder / "images.npy").write_bytes(whole)
    with pytest.raises(EmptyDataError, match=r"pairs\.csv"):
        open_pairs(folder)


def encoded(pixels: Image) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_bin(path: Path, images: list[bytes], same: list[bool]) -> None:
    path.write_bytes(pickle.dumps((images, same), 2))


def test_a_bin_file_is_used_as_it_is(tmp_path: Path) -> None:
    images = [encoded(CHIPS[row]) for row in (0, 1, 1, 2)]
    write_bin(tmp_path / "set.bin", images, [True, False])
    opened = open_pairs(tmp_path / "set.bin")
    np.testing.assert_array_equal(opened.images, CHIPS[:3])
    assert rows_of(opened.pairs) == [(0, 1, 1, 0), (1, 2, 0, 1)]
    assert opened.names == ["set.bin[0]", "set.bin[1]", "set.bin[3]"]
    assert opened.found.all()


def test_broken_images_of_a_bin_file_are_named_and_their_pairs_left_out(tmp_path: Path) -> None:
    images = [encoded(CHIPS[0]), b"broken", encoded(CHIPS[1]), encoded(CHIPS[2])]
    write_bin(tmp_path / "set.bin", images, [True, False])
    opened = open_pairs(tmp_path / "set.bin")
    np.testing.assert_array_equal(opened.images, CHIPS[:3])
    assert rows_of(opened.pairs) == [(1, 2, 0, 1)]
    assert [failure.path for failure in opened.failures] == ["set.bin[1]"]
    write_bin(tmp_path / "set.bin", [b"broken", b"bent"], [True])
    with pytest.raises(EmptyDataError, match=r"set\.bin: no pair is left"):
        open_pairs(tmp_path / "set.bin")


def test_a_name_finds_the_folder_before_the_bin_file_and_a_known_slip_is_mended(
    folder: Path, tmp_path: Path
) -> None:
    write_bin(tmp_path / "cfp_fp.bin", [encoded(CHIPS[0]), encoded(CHIPS[1])], [True])
    (tmp_path / "cfp_fp").mkdir()  # of something else
    for name in ("cfp_fp", "cpf_fp", "cfp_fp.bin", "cpf_fp.bin"):
        assert open_pairs(tmp_path / name).path == tmp_path / "cfp_fp.bin"
    shutil.rmtree(tmp_path / "cfp_fp")
    shutil.copytree(folder, tmp_path / "cfp_fp")
    for name in ("cfp_fp", "cpf_fp"):
        assert open_pairs(tmp_path / name).path == tmp_path / "cfp_fp"
    with pytest.raises(MissingFileError, match=r"verification set .*lfw"):
        open_pairs(tmp_path / "lfw")
