from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from face_analysis.datasets.lists.image_list import ImageList, read_image_list
from face_analysis.datasets.lists.writers import write_image_list
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError, UsageError


def written(folder: Path, content: str | bytes, name: str = "list.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_attribute_lines_give_race_gender_and_age(tmp_path: Path) -> None:
    listed = read_image_list(written(tmp_path, "a/1.jpg 0 1 24\nb/2.jpg -1 0 101\n"))
    assert listed.images == ["a/1.jpg", "b/2.jpg"]
    assert {name: column.tolist() for name, column in listed.labels.items()} == {
        "race": [0, -1],
        "gender": [1, 0],
        "age": [24, 101],
    }


def test_names_with_spaces_keep_them(tmp_path: Path) -> None:
    name = "24_0_1_20170116220224657 .jpg.chip.jpg"
    listed = read_image_list(written(tmp_path, f"a.jpg 0 1 3\n{name} 1 1 24\nour trip 2 9.jpg 1 0 7\n"))
    assert listed.images == ["a.jpg", name, "our trip 2 9.jpg"]
    assert listed.labels["age"].tolist() == [3, 24, 7]


@pytest.mark.parametrize(
    ("content", "images", "labels"),
    [
        ("s1/a.jpg 0\ns2/b c.jpg 1\n", ["s1/a.jpg", "s2/b c.jpg"], {"class": [0, 1]}),
        ("photo 3 7\nphoto 4 8\n", ["photo 3", "photo 4"], {"class": [7, 8]}),
        ("a.jpg\nour trip.jpg\n", ["a.jpg", "our trip.jpg"], {}),
        ("2 1 0 30\n", ["2"], {"race": [1], "gender": [0], "age": [30]}),
        ("x 2 1 0 30", ["x 2"], {"race": [1], "gender": [0], "age": [30]}),
        ("a.jpg 5\r\nb.jpg 6\r\n\r\n", ["a.jpg", "b.jpg"], {"class": [5, 6]}),
        ("\ufeffa.jpg 5\n\n\n", ["a.jpg"], {"class": [5]}),
        ("a.jpg 5\n\nb.jpg 6", ["a.jpg", "b.jpg"], {"class": [5, 6]}),
    ],
)
def test_the_first_line_decides_the_form(
    tmp_path: Path, content: str, images: list[str], labels: dict[str, list[int]]
) -> None:
    listed = read_image_list(written(tmp_path, content))
    assert listed.images == images
    assert {name: column.tolist() for name, column in listed.labels.items()} == labels


def test_csv_columns_may_come_in_any_order_and_cells_may_be_empty(tmp_path: Path) -> None:
    content = 'age,path,subject,gender\n30,"a, b.jpg",ann,0\n,c.jpg,,1\n'
    listed = read_image_list(written(tmp_path, content, "list.csv"))
    assert listed.images == ["a, b.jpg", "c.jpg"]
    assert listed.labels["age"].tolist() == [30, -1]
    assert listed.labels["gender"].tolist() == [0, 1]
    assert listed.strings == {"subject": ["ann", ""]}


def test_a_header_makes_a_list_csv_whatever_its_suffix(tmp_path: Path) -> None:
    listed = read_image_list(written(tmp_path, "path,class\na.jpg,4\n"))
    assert listed.images == ["a.jpg"]
    assert listed.labels["class"].tolist() == [4]


@pytest.mark.parametrize(
    ("content", "name", "line", "words"),
    [
        ("a.jpg 0 1 24\nb.jpg 0 1\n", "list.txt", 2, ["image race gender age", "b.jpg 0 1"]),
        ("a.jpg 0 1 24\nb.jpg 0 1 x\n", "list.txt", 2, ["b.jpg 0 1 x"]),
        ("a.jpg 0 1 24\nb.jpg 0 1 2.5\n", "list.txt", 2, ["2.5"]),
        ("a.jpg 0 1 24\n\nb.jpg 0 5\n", "list.txt", 3, ["image race gender age"]),
        ("a.jpg 0 1 24\r\r\n0 1 24\r\r\n", "list.txt", 3, ["image race gender age"]),
        ("path race gender age\na.jpg 0 1 24\n", "list.txt", 1, ["header"]),
        ("a,0,1,24\n", "list.txt", 1, ["header", "path,race,gender,age"]),
        ("a.jpg 0\nb.jpg 1\nc.jpg\n", "list.txt", 3, ["image class", "c.jpg"]),
        ("a.jpg 0\nb.jpg 99999999999\n", "list.txt", 2, ["99999999999", "largest"]),
        ("path,race,hair\na,1,2\n", "list.csv", 1, ["hair", "race, gender, age, class, subject"]),
        ("image,race\na,1\n", "list.csv", 1, ["image", "known"]),
        ("race,age\n1,2\n", "list.csv", 1, ["path"]),
        ("path,race,race\na,1,2\n", "list.csv", 1, ["twice"]),
        ("path,race\na,1\nb\n", "list.csv", 3, ["2 cells", "found 1"]),
        ("path,race\na,1\nb,x\n", "list.csv", 3, ["race", "`x`"]),
        ("path,race\na,1\n,1\n", "list.csv", 3, ["path"]),
        ('path,race\na,1\n"b,1\n', "list.csv", 3, ["CSV"]),
    ],
)
def test_a_wrong_line_is_named_with_file_number_and_content(
    tmp_path: Path, content: str | bytes, name: str, line: int, words: list[str]
) -> None:
    path = written(tmp_path, content, name)
    with pytest.raises(ListFormatError, match=re.escape(f"{path}:{line}: ")) as caught:
        read_image_list(path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "name"), [("", "a.txt"), ("\n \n", "a.txt"), ("path,age\n", "a.csv"), ("", "a.csv")]
)
def test_a_list_without_rows_is_refused(tmp_path: Path, content: str, name: str) -> None:
    path = written(tmp_path, content, name)
    with pytest.raises(EmptyDataError, match=re.escape(str(path))):
        read_image_list(path)


@pytest.mark.parametrize("name", ["none.txt", "none/deeper.txt"])
def test_a_missing_list_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingFileError, match="image list not found"):
        read_image_list(tmp_path / name)


ROWS = [("a.jpg", 0, 1, 24), ("our trip.jpg", -1, 0, 101), ("b  c.jpg", 2, 1, 7)]


def columns(listed: ImageList) -> list[tuple[str, int, int, int]]:
    """The rows of a list with race, gender and age."""
    values = (listed.labels[name].tolist() for name in ("race", "gender", "age"))
    return list(zip(listed.images, *values, strict=True))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", " \n", "\t\n", "\n\n", "\n \t\n"])
@pytest.mark.parametrize("gap", [" ", "\t", "  ", " \t ", "\t\t"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("start", ["", "\ufeff", "  ", "\n"])
def test_any_gap_line_end_and_start_give_the_same_list(
    tmp_path: Path, end: str, gap: str, last: bool, start: str
) -> None:
    text = start + end.join(gap.join(map(str, row)) for row in ROWS) + end * last
    assert columns(read_image_list(written(tmp_path, text))) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_lists_of_other_systems_are_read(tmp_path: Path, encoding: str, name: str) -> None:
    text = "path,age\r\ncafé.jpg,7\r\n" if name == "list.csv" else "café.jpg 1 1 7\r\n"
    listed = read_image_list(written(tmp_path, text.encode(encoding), name))
    assert (listed.images, listed.labels["age"].tolist()) == (["café.jpg"], [7])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["list.csv", "list.txt", "list.tsv"])
def test_csv_may_have_any_of_three_delimiters(tmp_path: Path, end: str, delimiter: str, name: str) -> None:
    header = delimiter.join(("path", "Race ", "gender", "age"))
    lines = [header, *(delimiter.join(map(str, row)) for row in ROWS)]
    assert columns(read_image_list(written(tmp_path, end.join(lines) + end, name))) == ROWS


def test_whole_numbers_of_tables_with_gaps_are_read_and_others_refused(tmp_path: Path) -> None:
    listed = read_image_list(written(tmp_path, "path,age\na.jpg,24.0\nb.jpg,\nc.jpg,7.\n", "list.csv"))
    assert listed.labels["age"].tolist() == [24, -1, 7]
    with pytest.raises(ListFormatError, match=r"list\.csv:2: .*`24\.5`"):
        read_image_list(written(tmp_path, "path,age\na.jpg,24.5\n", "list.csv"))


def test_names_that_are_not_utf8_are_the_bytes_that_files_have(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = b"a.jpg 0\ncaf\xe9.jpg 1\n"
    listed = read_image_list(written(tmp_path, raw))
    assert [os.fsencode(image) for image in listed.images] == [b"a.jpg", b"caf\xe9.jpg"]
    assert caplog.messages == [
        f"{tmp_path}/list.txt:2: not UTF-8; bytes are taken as they are, as names of files may be"
    ]
    write_image_list(tmp_path / "new.csv", listed)
    assert read_image_list(tmp_path / "new.csv").images == listed.images


def test_what_is_no_text_is_named_as_what_it_is(tmp_path: Path, patterns: Path) -> None:
    picture = patterns.parent / "patterns" / "000001.jpg"
    for path, kind in ((picture, "a JPEG picture"), (picture.parent, "a folder")):
        with pytest.raises(UsageError, match=f"{re.escape(str(path))} is {kind}, not the image list"):
            read_image_list(path)
    with pytest.raises(UsageError, match="is a file of an unknown kind, not the image list"):
        read_image_list(written(tmp_path, b"\1\2\0"))


# A name in a text list holds no line break; the form of the list is what its first line shows.
visible = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs"))
names = (
    st.text(visible | st.just(" "), min_size=1, max_size=30)
    .map(lambda text: f"{text}.jpg")
    .filter(lambda text: not text.startswith(("\ufeff", " ", "path,")))
)
labels = st.integers(-1, 2**31 - 1)
several = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@several
@given(st.lists(st.tuples(names, labels, labels, labels), min_size=1, max_size=8))
def test_text_lists_come_back_as_written(tmp_path: Path, rows: list[tuple[str, int, int, int]]) -> None:
    content = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    listed = read_image_list(written(tmp_path, content))
    assert columns(listed) == rows


@several
@given(st.lists(st.tuples(names, labels, st.text(visible, max_size=9)), min_size=1, max_size=8))
def test_csv_lists_come_back_as_written(tmp_path: Path, rows: list[tuple[str, int, str]]) -> None:
    path = tmp_path / "list.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "class", "subject"), *rows])
    listed = read_image_list(path)
    found = (listed.images, listed.labels["class"].tolist(), listed.strings["subject"])
    assert list(zip(*found, strict=True)) == rows
