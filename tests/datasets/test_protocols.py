from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from face_analysis.datasets.pairs.pairs import ListedPair, number_images
from face_analysis.datasets.pairs.protocols import read_cfp, read_labelled, read_lfw, read_protocol
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError, UsageError

LFW = "2\t2\nAnn\t1\t4\nBo_B\t2\t13\nAnn\t1\tBo_B\t1\nCy\t1\tAnn\t12\n" + (
    "Dee\t1\t2\nEd\t3\t1\nDee\t1\tEd\t1\nEd\t2\tDee\t2\n"
)


def written(folder: Path, text: str, name: str = "pairs.txt") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("separator", ["\t", " "])
def test_lines_of_lfw_become_the_paths_of_its_images(tmp_path: Path, separator: str) -> None:
    assert read_lfw(written(tmp_path, LFW.replace("\t", separator))) == [
        ListedPair("Ann/Ann_0001.jpg", "Ann/Ann_0004.jpg", True, 0),
        ListedPair("Bo_B/Bo_B_0002.jpg", "Bo_B/Bo_B_0013.jpg", True, 0),
        ListedPair("Ann/Ann_0001.jpg", "Bo_B/Bo_B_0001.jpg", False, 0),
        ListedPair("Cy/Cy_0001.jpg", "Ann/Ann_0012.jpg", False, 0),
        ListedPair("Dee/Dee_0001.jpg", "Dee/Dee_0002.jpg", True, 1),
        ListedPair("Ed/Ed_0003.jpg", "Ed/Ed_0001.jpg", True, 1),
        ListedPair("Dee/Dee_0001.jpg", "Ed/Ed_0001.jpg", False, 1),
        ListedPair("Ed/Ed_0002.jpg", "Dee/Dee_0002.jpg", False, 1),
    ]


def test_a_list_of_one_fold_has_one_number_at_its_head(tmp_path: Path) -> None:
    pairs = read_lfw(written(tmp_path, "1\nAnn 1 4\nAnn 1 Bo 1\n"))
    assert [(pair.same, pair.fold) for pair in pairs] == [(True, 0), (False, 0)]


@pytest.mark.parametrize(
    ("line", "text", "reason"),
    [
        (1, "Ann 1 4", "number of folds"),
        (1, "ten 2", "number of folds"),
        (1, "2 0", "number of folds"),
        (1, "2 3", "expected 2 x 2 x 3 lines behind the first, found 8"),
        (3, "Ann 1 Bo 1", "expected `name n1 n2`, found `Ann 1 Bo 1`"),
        (4, "Ann 1 4", "expected `name1 n1 name2 n2`, found `Ann 1 4`"),
        (5, "Ann one Bo 1", "expected `name1 n1 name2 n2`"),
        (5, "", "expected 2 x 2 x 2 lines behind the first, found 7"),
        (9, "Ann 1 Bo 99999999", "expected `name1 n1 name2 n2`"),
    ],
)
def test_a_wrong_line_of_lfw_is_named(tmp_path: Path, line: int, text: str, reason: str) -> None:
    lines = LFW.splitlines()
    lines[line - 1] = text
    with pytest.raises(ListFormatError, match=re.escape(reason)) as caught:
        read_lfw(written(tmp_path, "\n".join(lines) + "\n"))
    if "behind" not in reason:
        assert f"pairs.txt:{line}: " in str(caught.value)


def test_two_lines_with_a_label_make_a_pair(tmp_path: Path) -> None:
    text = "Ann_1.jpg 1\nAnn_2.jpg 1\nBo B_1.jpg\t2\nBo B_2.jpg\t2\nAnn_1.jpg 0\nBo B_1.jpg 0\n"
    assert [pair[:3] for pair in read_labelled(written(tmp_path, text))] == [
        ("Ann_1.jpg", "Ann_2.jpg", True),
        ("Bo B_1.jpg", "Bo B_2.jpg", True),
        ("Ann_1.jpg", "Bo B_1.jpg", False),
    ]


@pytest.mark.parametrize("mixed", [False, True])
def test_every_fold_of_a_labelled_list_has_as_many_pairs_of_each_kind(tmp_path: Path, mixed: bool) -> None:
    """Whether all pairs of one person come first, as published, or thirty of each kind in turn."""
    kinds = ([1] * 30 + [0] * 30) * 10 if mixed else [1] * 300 + [0] * 300
    text = "".join(f"{number}a.jpg {kind}\n{number}b.jpg {kind}\n" for number, kind in enumerate(kinds))
    pairs = read_labelled(written(tmp_path, text))
    assert Counter((pair.fold, pair.same) for pair in pairs) == {
        (fold, same): 30 for fold in range(10) for same in (True, False)
    }
    if mixed:
        assert [pair.fold for pair in pairs] == [number // 60 for number in range(600)]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a.jpg 1\nb.jpg 1\nc.jpg 1\n", 3, "no other to make a pair"),
        ("a.jpg 1\nb.jpg 0\n", 2, "label differs"),
        ("a.jpg 1\nb.jpg\n", 2, "expected `image label`"),
        ("a.jpg 1\nb.jpg x\n", 2, "expected `image label`"),
        ("a.jpg 1\n\n", 1, "no other"),
        ("a.jpg -1\nb.jpg -1\n", 1, "expected `image label`"),
    ],
)
def test_a_wrong_line_with_a_label_is_named(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(ListFormatError, match=rf"pairs\.txt:{line}: .*{reason}"):
        read_labelled(written(tmp_path, text))


@pytest.fixture
def cfp(tmp_path: Path) -> Path:
    """Two folds of the layout of CFP."""
    for letter, kind in (("F", "frontal"), ("P", "profile")):
        lines = [f"{n} ../Data/Images/{n:03d}/{kind}/01.jpg\n" for n in range(1, 6)]
        written(tmp_path, "".join(lines), f"Protocol/Pair_list_{letter}.txt")
    for split in ("FF", "FP"):
        for fold, (same, diff) in enumerate([("1,1\n2,2\n", "1,2\n"), ("3,3\n", "4,5\n5,1\n")], 1):
            written(tmp_path, same, f"Protocol/Split/{split}/{fold:02d}/same.txt")
            written(tmp_path, diff, f"Protocol/Split/{split}/{fold:02d}/diff.txt")
    return tmp_path


@pytest.mark.parametrize(("kind", "second"), [("FF", "frontal"), ("FP", "profile")])
def test_numbers_of_cfp_become_paths_below_its_folder(cfp: Path, kind: str, second: str) -> None:
    expected = [(1, 1, True, 0), (2, 2, True, 0), (1, 2, False, 0)]
    expected += [(3, 3, True, 1), (4, 5, False, 1), (5, 1, False, 1)]
    pairs = read_protocol("cfp_ff" if kind == "FF" else "cfp_fp", cfp, None)
    assert pairs == [
        (f"Data/Images/{a:03d}/frontal/01.jpg", f"Data/Images/{b:03d}/{second}/01.jpg", same, fold)
        for a, b, same, fold in expected
    ]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("Split/FP/02/diff.txt", "4,5\n5,6\n", r"diff\.txt:2: expected `a,b`, two numbers"),
        ("Split/FP/02/diff.txt", "4,5\n5\n", r"diff\.txt:2: "),
        ("Split/FP/02/diff.txt", "4,5,1\n", r"diff\.txt:1: "),
        ("Split/FP/01/same.txt", "a,b\n", r"same\.txt:1: "),
        ("Pair_list_P.txt", "1 a.jpg\n2\n", r"Pair_list_P\.txt:2: expected `number path`"),
        ("Pair_list_F.txt", "one a.jpg\n", r"Pair_list_F\.txt:1: "),
    ],
)
def test_a_wrong_line_of_cfp_is_named(cfp: Path, file: str, text: str, message: str) -> None:
    written(cfp / "Protocol", text, file)
    with pytest.raises(ListFormatError, match=message):
        read_cfp(cfp, "FP")


def test_missing_and_empty_parts_are_named(cfp: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"list of pairs not found: .*pairs\.txt"):
        read_protocol("lfw", tmp_path, None)
    with pytest.raises(EmptyDataError, match=r"own\.txt: the list of pairs is empty"):
        read_protocol("list", tmp_path, written(tmp_path, "\n", "own.txt"))
    (cfp / "Protocol/Split/FP/02/diff.txt").unlink()
    with pytest.raises(MissingFileError, match=r"FP/02/diff\.txt"):
        read_cfp(cfp, "FP")
    with pytest.raises(MissingFileError, match="Pair_list_F"):
        read_cfp(tmp_path / "none", "FF")
    for same in (cfp / "Protocol/Split/FF").glob("*/same.txt"):
        same.unlink()
    with pytest.raises(MissingFileError, match="folds of CFP"):
        read_cfp(cfp, "FF")


def test_each_image_is_numbered_once(tmp_path: Path) -> None:
    listed = read_lfw(written(tmp_path, LFW))
    images, pairs = number_images(listed)
    assert len(images) == len(set(images)) == 12
    assert images[0] == "Ann/Ann_0001.jpg"
    rows = zip(pairs.first, pairs.second, pairs.same, pairs.fold, strict=True)
    assert [(images[a], images[b], same, fold) for a, b, same, fold in rows] == listed


@pytest.mark.faces
def test_the_official_list_has_ten_folds_of_300_and_300_and_all_its_images_are_there(
    faces_data: Path,
) -> None:
    pairs = read_lfw(faces_data / "lfw" / "pairs.txt")
    assert Counter((pair.fold, pair.same) for pair in pairs) == {
        (fold, same): 300 for fold in range(10) for same in (True, False)
    }
    images, _ = number_images(pairs)
    assert len(images) == 7701
    assert all((faces_data / "lfw" / "images" / image).is_file() for image in images)


@pytest.mark.parametrize("end", ["\r\n", "\r", " \n", "\n\n"])
def test_other_line_ends_change_no_protocol(tmp_path: Path, cfp: Path, end: str) -> None:
    labelled = "a.jpg 1\nb.jpg 1\nc.jpg\t0\nd.jpg\t0\n"
    lists = [written(tmp_path, LFW, "lfw.txt"), written(tmp_path, labelled, "labelled.txt")]
    before = [read_lfw(lists[0]), read_labelled(lists[1]), read_cfp(cfp, "FP")]
    for path in (*lists, *(cfp / "Protocol").rglob("*.txt")):
        path.write_bytes(path.read_text().replace("\n", end).encode())
    assert [read_lfw(lists[0]), read_labelled(lists[1]), read_cfp(cfp, "FP")] == before


@pytest.mark.parametrize("suffix", [".png", ".jpeg", ".JPG", ".webp", ".tif", ".heic"])
def test_images_of_a_protocol_are_found_with_the_suffix_they_have(tmp_path: Path, suffix: str) -> None:
    for name in ("Ann/Ann_0001", "Ann/Ann_0004", "Bo/Bo_0001"):
        written(tmp_path, "", f"{name}{suffix}")
    written(tmp_path, "", "Bo/._Bo_0001.png")
    pairs = written(tmp_path, "1\nAnn 1 4\nAnn 1 Bo 1\n")
    assert [pair[:2] for pair in read_protocol("lfw", tmp_path, pairs)] == [
        (f"Ann/Ann_0001{suffix}", f"Ann/Ann_0004{suffix}"),
        (f"Ann/Ann_0001{suffix}", f"Bo/Bo_0001{suffix}"),
    ]
    listed = written(tmp_path, "Ann/Ann_0001.jpg 0\nBo/Bo_0001.jpg 0\n", "list.txt")
    (pair,) = read_protocol("list", tmp_path, listed)
    assert pair[:2] == (f"Ann/Ann_0001{suffix}", f"Bo/Bo_0001{suffix}")


def test_the_images_of_cfp_are_found_with_the_suffix_they_have(cfp: Path) -> None:
    for number in range(1, 6):
        for kind, suffix in (("frontal", ".jpg"), ("profile", ".png")):
            written(cfp, "", f"Data/Images/{number:03d}/{kind}/01{suffix}")
    pairs = read_protocol("cfp_fp", cfp, None)
    assert {Path(pair.first).suffix for pair in pairs} == {".jpg"}
    assert {Path(pair.second).suffix for pair in pairs} == {".png"}
    assert all((cfp / name).is_file() for pair in pairs for name in pair[:2])


def test_the_listed_file_goes_first_a_missing_one_keeps_its_name_and_two_others_are_refused(
    tmp_path: Path,
) -> None:
    for name in ("a.jpg", "a.png", "b.png", "b.webp", "b.txt"):
        written(tmp_path, "", name)
    pairs = written(tmp_path, "a.jpg 1\ngone.jpg 1\n", "list.txt")
    assert [pair[:2] for pair in read_protocol("list", tmp_path, pairs)] == [("a.jpg", "gone.jpg")]
    pairs = written(tmp_path, "a.jpg 1\nb.jpg 1\n", "list.txt")
    with pytest.raises(UsageError, match=r"b\.png and b\.webp may both be b\.jpg; keep one"):
        read_protocol("list", tmp_path, pairs)
