"""What is found under a folder, and what is told of the rest; `find -L` is the judge of the whole."""

from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from face_analysis.datasets.folders import list_folder, search_folder
from face_analysis.errors import EmptyDataError, MissingFileError, UsageError


def encoded(form: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(file, form)
    return file.getvalue()


def made(folder: Path, *names: str, content: bytes = b"") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
@pytest.mark.parametrize("name", ["photo", "photo.dat", "photo.txt", "IMG.0001", "photo.tmp.part"])
def test_content_decides_where_the_suffix_is_no_pictures(tmp_path: Path, form: str, name: str) -> None:
    found = search_folder(made(tmp_path, name, content=encoded(form)))
    assert (found.images, found.sentences()) == ([name], [])


def test_picture_suffixes_are_taken_without_a_look_and_in_any_case(tmp_path: Path) -> None:
    names = ["a.JPG", "b.jfif", "c.Jpe", "d.HEIC", "e.avif", "f.heif", "g.TIF"]
    assert search_folder(made(tmp_path, *names)).images == names


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sizes", b"BMI,age\n20,30\n"),
        ("notes", b"P1 is the first page\n"),
        ("clip.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0isommp42"),
        ("sound", b"RIFF\0\0\0\0WAVEfmt "),
        ("shot.NEF", encoded("TIFF")),
        ("shot.dng", encoded("TIFF")),
        ("empty", b""),
    ],
)
def test_what_only_looks_like_a_picture_is_left_out(tmp_path: Path, name: str, content: bytes) -> None:
    made(tmp_path, "a.jpg")
    assert search_folder(made(tmp_path, name, content=content)).images == ["a.jpg"]


def test_files_left_out_are_counted_by_suffix_the_most_frequent_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made(tmp_path, "a.jpg", "b.txt", "sub/c.TXT", "clip.mp4", "README")
    assert list_folder(tmp_path).images == ["a.jpg"]
    assert caplog.messages == [f"{tmp_path}: 4 files left out: 2 .txt, 1 without a suffix, 1 .mp4"]


def test_a_folder_of_pictures_alone_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    list_folder(made(tmp_path, "a.jpg", "b/c.png"))
    assert caplog.messages == []


def test_of_many_suffixes_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", *(f"x.{letter}" for letter in "abcdefghijk"))
    (sentence,) = search_folder(tmp_path).sentences()
    assert sentence.startswith("11 files left out: 1 .a, 1 .b,")
    assert sentence.endswith(" and 3 more")


HIDDEN_FOLDERS = (
    *(".ipynb_checkpoints", ".git", ".thumbnails", ".cache", "__MACOSX", "@eaDir", "@EADIR", "#recycle"),
    *("$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information", "lost+found", "__pycache__"),
)


@pytest.mark.parametrize("place", HIDDEN_FOLDERS)
@pytest.mark.parametrize("above", ["", "sub/"])
def test_hidden_and_system_folders_are_not_searched_and_told(tmp_path: Path, place: str, above: str) -> None:
    made(tmp_path, "a.jpg", f"{above}{place}/b.jpg", f"{above}{place}/deep/c.jpg")
    found = search_folder(tmp_path)
    assert found.images == ["a.jpg"]
    assert found.sentences() == [f"hidden and system folders not searched: {above}{place}"]


def test_hidden_and_system_files_are_counted_together(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "._a.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".b.jpg", "sub/._c.png")
    found = search_folder(tmp_path)
    assert (found.images, found.sentences()) == (["a.jpg"], ["6 files left out: 6 hidden"])


@pytest.mark.parametrize("place", [".cache/photos", "__MACOSX", ".git"])
def test_a_hidden_folder_that_is_named_itself_is_searched(tmp_path: Path, place: str) -> None:
    made(tmp_path / place, "a.jpg", "b/c.jpg")
    assert search_folder(tmp_path / place).images == ["a.jpg", "b/c.jpg"]


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    made(tmp_path / "real", "ann/1.jpg", "bo/deep/2.jpg", "3.jpg")
    (tmp_path / "people").mkdir()
    for name in ("ann", "bo", "3.jpg"):
        (tmp_path / "people" / name).symlink_to(tmp_path / "real" / name)
    (tmp_path / "link").symlink_to(tmp_path / "people")
    for folder in ("people", "link"):
        found = search_folder(tmp_path / folder)
        assert (found.images, found.sentences()) == (["3.jpg", "ann/1.jpg", "bo/deep/2.jpg"], [])


def test_rings_of_links_end_and_are_told(tmp_path: Path) -> None:
    made(tmp_path / "top" / "photos", "a.jpg", "sub/b.jpg")
    made(tmp_path / "other", "c.jpg")
    photos = tmp_path / "top" / "photos"
    for place, target in (("self", "."), ("sub/up", ".."), ("above", "../.."), ("ring", "ring")):
        (photos / place).symlink_to(target)
    (photos / "out").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(photos)
    found = search_folder(photos)
    assert found.images == ["a.jpg", "out/c.jpg", "sub/b.jpg"]
    assert found.sentences() == [
        "links not followed: above (a folder above), out/back (searched already as .), ring (leads nowhere), "
        "self (searched already as .), sub/up (searched already as .)"
    ]


def test_a_folder_is_searched_once_and_by_its_own_name_before_those_of_links(tmp_path: Path) -> None:
    made(tmp_path / "photos", "z/a.jpg")
    made(tmp_path / "far", "x.jpg", "deep/y.jpg")
    for place, target in (("best", "z"), ("one", "../far/deep"), ("two", "../far"), ("three", "../far")):
        (tmp_path / "photos" / place).symlink_to(target)
    found = search_folder(tmp_path / "photos")
    assert found.images == ["one/y.jpg", "three/x.jpg", "z/a.jpg"]
    assert found.links == [
        "best (searched already as z)",
        "three/deep (searched already as one)",
        "two (searched already as three)",
    ]


def test_links_that_lead_nowhere_and_what_is_no_file_are_told(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "none.jpg")
    (tmp_path / "lost").symlink_to("/nowhere/at/all")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert search_folder(tmp_path).sentences() == [
        "1 file left out: 1 special",
        "links not followed: gone.jpg (leads nowhere), lost (leads nowhere)",
    ]


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "a.jpg", "closed/b.jpg")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = search_folder(tmp_path)
    assert found.images == ["a.jpg"]
    assert found.sentences() == ["folders that cannot be read: closed (Permission denied)"]


def test_names_of_255_bytes_and_names_that_are_not_utf8_are_found(tmp_path: Path) -> None:
    names = [b"n" * 251 + b".jpg", b"caf\xe9.jpg", b"\xff\xfe", b"line\nbreak.jpg", b" a .jpg "]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(encoded("JPEG"))
    images = search_folder(tmp_path).images
    assert sorted(map(os.fsencode, images)) == sorted(names)
    assert all((tmp_path / image).read_bytes() == encoded("JPEG") for image in images)


def test_a_tree_is_found_as_find_finds_it(tmp_path: Path) -> None:
    made(tmp_path / "far", "q.jpg", "r/s.png")
    made(tmp_path / "tree", "a.jpg", "b/c.JPG", "b/d/e.png", "f/g.txt", "h i/j.jpg")
    (tmp_path / "tree" / "far").symlink_to("../far")
    command = ["find", "-L", ".", "-type", "f", "-iregex", r".*\.\(jpg\|png\)"]
    done = subprocess.run(command, cwd=tmp_path / "tree", capture_output=True, text=True, check=True)
    expected = sorted(line.removeprefix("./") for line in done.stdout.splitlines())
    assert search_folder(tmp_path / "tree").images == expected


def test_no_folder_a_file_and_a_folder_without_pictures_are_refused(tmp_path: Path) -> None:
    made(tmp_path / "videos", "a.mp4", "b.mp4", ".x/c.jpg")
    with pytest.raises(MissingFileError, match="none"):
        list_folder(tmp_path / "none")
    with pytest.raises(UsageError, match=r"a\.mp4 is a file: give a folder"):
        list_folder(tmp_path / "videos" / "a.mp4")
    reason = "videos: no images in this folder or under it; 2 files left out: 2 .mp4; hidden and system"
    with pytest.raises(EmptyDataError, match=re.escape(reason)):
        list_folder(tmp_path / "videos")
