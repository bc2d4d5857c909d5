from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_analysis.datasets.annotations import convert, set_rows
from face_analysis.datasets.attributes import AGE_BANDS, group_index
from face_analysis.datasets.lists.public_sets import PUBLIC_SETS
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError, UsageError

Row = tuple[str, int, int, int, str]


def cells(name: str, row: str) -> list[str]:
    """A line of a set's list, cut at blanks from the right."""
    return row.rsplit(None, len(PUBLIC_SETS[name].columns)) or [""]


def rows_of(name: str, *rows: str) -> list[Row]:
    """(path, race, gender, age, subject) of each row that fits."""
    listed = convert(PUBLIC_SETS[name], [cells(name, row) for row in rows]).listed
    columns = (listed.labels[label].tolist() for label in ("race", "gender", "age"))
    subjects = listed.strings.get("subject", [""] * len(listed))
    return list(zip(listed.images, *columns, subjects, strict=True))


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("aaf", "aligned/00000A02.jpg 0", ("aligned/00000A02.jpg", -1, 0, 2, "")),
        ("aaf", "13321A80.jpg 1", ("13321A80.jpg", -1, 1, 80, "")),
        ("afad", "AFAD-Full/15/111/638660-1.jpg", ("AFAD-Full/15/111/638660-1.jpg", 2, 1, 15, "")),
        ("afad", "72/112/5-0.jpg", ("72/112/5-0.jpg", 2, 0, 72, "")),
        ("agedb", "0_MariaCallas_35_f.jpg", ("0_MariaCallas_35_f.jpg", -1, 0, 35, "MariaCallas")),
        ("agedb", "db/9_Ned_Beatty_80_m.jpg", ("db/9_Ned_Beatty_80_m.jpg", -1, 1, 80, "Ned_Beatty")),
        ("cacd", "14_Aaron_Johnson_0001.jpg", ("14_Aaron_Johnson_0001.jpg", -1, -1, 14, "Aaron_Johnson")),
        ("fgnet", "images/001A43a.JPG", ("images/001A43a.JPG", -1, -1, 43, "001")),
        ("fgnet", "082a02.jpg", ("082a02.jpg", -1, -1, 2, "082")),
        ("rfw", "data/African/m.0c7mh2/m.0c7mh2_0003.jpg",
         ("data/African/m.0c7mh2/m.0c7mh2_0003.jpg", 1, -1, -1, "m.0c7mh2")),
        ("rfw", "Caucasian/m.1/0.jpg", ("Caucasian/m.1/0.jpg", 0, -1, -1, "m.1")),
        ("imdb-wiki", "01/nm0000001_rm1_1899-5-10_1968.jpg 1 68",
         ("01/nm0000001_rm1_1899-5-10_1968.jpg", -1, 1, 68, "nm0000001")),
        ("imdb-wiki", "17/10000217_1981-05-05_2009.jpg nan 28",
         ("17/10000217_1981-05-05_2009.jpg", -1, -1, 28, "10000217")),
        ("imdb-wiki", "a b.jpg 0.0 5", ("a b.jpg", -1, 0, 5, "")),
        ("imfdb", "Kajol/Film/1.jpg FEMALE", ("Kajol/Film/1.jpg", 3, 0, -1, "")),
        ("megaage-asian", "train/1.jpg 63", ("train/1.jpg", 2, -1, 63, "")),
        ("morph", "Album2/009055_1M54.JPG B M 54", ("Album2/009055_1M54.JPG", 1, 1, 54, "009055")),
        ("morph", "x.jpg H F 20", ("x.jpg", 4, 0, 20, "")),
        ("morph", "x.jpg U F 20", ("x.jpg", -1, 0, 20, "")),
        ("utkface", "26_0_2_20170116184024662.jpg.chip.jpg",
         ("26_0_2_20170116184024662.jpg.chip.jpg", 2, 1, 26, "")),
        ("utkface", "9/1_1_4_20170116184024662.jpg", ("9/1_1_4_20170116184024662.jpg", 4, 0, 1, "")),
        ("utkface", "24_0_1_20170116220224657 .jpg.chip.jpg",
         ("24_0_1_20170116220224657 .jpg.chip.jpg", 1, 1, 24, "")),
        ("utkface", "55_0_0_20170116232725357jpg.chip.jpg",
         ("55_0_0_20170116232725357jpg.chip.jpg", 0, 1, 55, "")),
    ],
)  # fmt: skip
def test_each_set_is_read_into_the_codes_of_the_package(name: str, row: str, expected: Row) -> None:
    assert rows_of(name, row) == [expected]


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("utkface", "61_1_20170109142408075.jpg.chip.jpg", "<age>_<gender>_<race>_<time>"),
        ("utkface", "61_3_4_20170109142408075.jpg", "gender `3` is none of 1, 0"),
        ("utkface", "61_1_5_20170109142408075.jpg", "race `5`"),
        ("afad", "15/113/1.jpg", "gender `113`"),
        ("agedb", "1_A_35_x.jpg", "gender `X`"),
        ("cacd", "Aaron_Johnson_0001.jpg", "<age>_<name>_<number>"),
        ("aaf", "00000A02.jpg", "path gender"),
        ("aaf", "00000A.jpg 0", "A<age>"),
        ("fgnet", "A43a.JPG", "<subject>A<age>"),
        ("rfw", "Martian/m.1/0.jpg", "race `Martian` is none of Caucasian"),
        ("imfdb", "1.jpg male", "gender `male` is none of FEMALE, MALE"),
        ("imdb-wiki", "1.jpg 1 young", "age `young`"),
        ("imdb-wiki", "1.jpg nan -3", "no label is known: age -3"),
        ("morph", "1.jpg X M 20", "race `X`"),
        ("morph", "", "path race sex age"),
        ("cacd", "1014_Aaron_Johnson_0001.jpg", "no label is known: age 1014"),
    ],
)
def test_what_does_not_fit_is_named_with_its_reason_and_not_guessed(name: str, row: str, reason: str) -> None:
    found = convert(PUBLIC_SETS[name], [cells(name, row)])
    assert len(found.listed) == 0
    assert [failure.path for failure in found.failures] == [
        row if reason.startswith("path") else row.split(" ")[0]
    ]
    assert reason in found.failures[0].reason


def test_an_odd_age_beside_other_labels_becomes_unknown_and_is_counted() -> None:
    rows = ["116_1_0_20170109.jpg", "101_0_3_20170109.jpg", "100_0_0_20170109.jpg"]
    found = convert(PUBLIC_SETS["utkface"], [[row] for row in rows])
    assert found.listed.labels["age"].tolist() == [-1, -1, 100]
    assert found.listed.labels["race"].tolist() == [0, 3, 0]
    assert (found.odd_ages, found.failures) == (2, [])


def test_an_image_that_is_not_in_the_folder_fails_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").touch()
    long = "x" * 300 + ".jpg"
    found = convert(PUBLIC_SETS["megaage-asian"], [["a.jpg", "3"], ["b.jpg", "4"], [long, "5"]], tmp_path)
    assert found.listed.images == ["b.jpg"]
    assert [failure.path for failure in found.failures] == ["a.jpg", long]


words = st.sampled_from(
    ["", "0", "1", "M", "F", "nan", "-1", "MALE", "9" * 5000, "²", "A", "_", "/", ".jpg", "\0"]
)
texts = st.text(max_size=40) | st.lists(words, max_size=12).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(PUBLIC_SETS)), st.lists(st.lists(texts, max_size=5).map(" ".join), max_size=5))
def test_any_text_is_listed_with_valid_codes_or_recorded(name: str, rows: list[str]) -> None:
    found = convert(PUBLIC_SETS[name], [cells(name, row) for row in rows], None)
    assert len(found.listed) + len(found.failures) == len(rows)
    assert all(failure.reason for failure in found.failures)
    for label, most in (("race", 4), ("gender", 1), ("age", 100)):
        assert all(-1 <= code <= most for code in found.listed.labels[label].tolist())


def test_rows_come_from_what_the_set_needs(tmp_path: Path) -> None:
    (tmp_path / "images/7/111").mkdir(parents=True)
    (tmp_path / "images/7/111/1.jpg").touch()
    (tmp_path / "names.txt").write_text("3/112/a b.jpg\n4/111/c.jpg\n")
    (tmp_path / "ages.txt").write_text("a.jpg 3\n\nb.jpg 4\n")
    by_name, by_list = PUBLIC_SETS["afad"], PUBLIC_SETS["megaage-asian"]
    assert set_rows(by_name, tmp_path / "images", None) == [["7/111/1.jpg"]]
    assert set_rows(by_name, None, tmp_path / "names.txt") == [["3/112/a b.jpg"], ["4/111/c.jpg"]]
    assert set_rows(by_list, None, tmp_path / "ages.txt") == [["a.jpg", "3"], ["b.jpg", "4"]]
    with pytest.raises(UsageError, match="`path age`: give it by --image_list"):
        set_rows(by_list, tmp_path / "images", None)
    with pytest.raises(UsageError, match="--source"):
        set_rows(by_name, None, None)
    with pytest.raises(MissingFileError, match="none"):
        set_rows(by_name, tmp_path / "none", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptyDataError, match="no images"):
        set_rows(by_name, tmp_path / "empty", None)


FAIRFACE = """file,age,gender,race,service_test
train/1.jpg,50-59,Male,East Asian,True
train/2.jpg,30-39,Female,Indian,False
val/3.jpg,0-2,Female,Black,False
val/4.jpg,more than 70,Male,White,True
val/5.jpg,3-9,Male,Middle Eastern,True
val/6.jpg,20-29,Male,Latino_Hispanic,True
val/7.jpg,10-19,Female,Southeast Asian,True
val/8.jpg,60-69,Female,Martian,True
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_fairface_is_read_from_its_csv_with_the_middle_of_its_ranges(tmp_path: Path, end: str) -> None:
    (tmp_path / "fairface_label_train.csv").write_bytes(FAIRFACE.replace("\n", end).encode())
    public = PUBLIC_SETS["fairface"]
    found = convert(public, set_rows(public, None, tmp_path / "fairface_label_train.csv"))
    labels = [found.listed.labels[name].tolist() for name in ("race", "gender", "age")]
    assert found.listed.images == [f"{'train' if n < 3 else 'val'}/{n}.jpg" for n in range(1, 8)]
    assert labels == [[2, 3, 1, 0, 4, 4, 2], [1, 0, 0, 1, 1, 1, 0], [54, 34, 1, 75, 6, 24, 14]]
    decades = group_index("age", found.listed.labels["age"]).tolist()
    assert [AGE_BANDS[band] for band in decades] == [
        *("50-59", "30-39", "0-9", "70+", "0-9", "20-29", "10-19"),
    ]
    assert [failure.path for failure in found.failures] == ["val/8.jpg"]
    assert "race `Martian`" in found.failures[0].reason


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("file,age,gender\na.jpg,0-2,Male\n", 1, "no column `race`"),
        ("file,age,gender,race\na.jpg,0-2\n", 2, "2 of 4"),
        ('file,age,gender,race\n"a.jpg,0-2\n', 2, "quotes"),
    ],
)
def test_a_csv_of_another_form_is_named(tmp_path: Path, text: str, line: int, reason: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(ListFormatError, match=rf"f\.csv:{line}: .*{reason}"):
        set_rows(PUBLIC_SETS["fairface"], None, tmp_path / "f.csv")


@pytest.mark.faces
def test_the_real_names_of_utkface_give_the_labels_of_its_lists(faces_data: Path) -> None:
    folder = faces_data / "utkface"
    lines = [line for name in ("train.txt", "val.txt") for line in (folder / name).read_text().splitlines()]
    told = {path: [int(code) for code in codes] for path, *codes in (line.rsplit(" ", 3) for line in lines)}
    rows = set_rows(PUBLIC_SETS["utkface"], folder / "images", None)
    found = convert(PUBLIC_SETS["utkface"], rows, folder / "images")
    assert found.failures == []
    assert len(found.listed) == len(told) == 18_912
    for row, path in enumerate(found.listed.images):
        race, gender, age = told[path]
        expected = [race, gender, age if age <= 100 else -1]
        assert [int(found.listed.labels[name][row]) for name in ("race", "gender", "age")] == expected
    assert found.odd_ages == sum(age > 100 for *_, age in told.values())
