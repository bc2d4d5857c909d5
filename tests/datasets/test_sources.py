from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.pack import pack
from face_analysis.datasets.packed import LmdbSource
from face_analysis.datasets.sources import (
    FolderSource,
    ImageSource,
    open_listed,
    open_people,
    open_photos,
    open_source,
)
from face_analysis.errors import (
    EmptyDataError,
    ListFormatError,
    MissingFileError,
    UnreadableImageError,
    UsageError,
)


def test_a_list_and_its_folder_give_bytes_names_and_labels(patterns: Path) -> None:
    source = open_source(patterns.parent, patterns)
    rows = [line.split(" ") for line in patterns.read_text().splitlines()]
    assert isinstance(source, FolderSource)
    assert [source.name(row) for row in range(len(source))] == [row[0] for row in rows]
    assert source.read(4) == (patterns.parent / rows[4][0]).read_bytes()
    assert source.labels["age"].tolist() == [int(row[3]) for row in rows]
    assert source.read_mask(4) is None


def test_absolute_paths_need_no_folder(patterns: Path, tmp_path: Path) -> None:
    image = sorted((patterns.parent / "patterns").iterdir())[3]
    (tmp_path / "list.txt").write_text(f"{image} 1 0 33\n")
    for folder in (None, tmp_path):
        source = open_source(folder, tmp_path / "list.txt")
        assert source.read(0) == image.read_bytes()


def test_a_folder_alone_gives_its_images_sorted_and_at_any_depth(patterns: Path, tmp_path: Path) -> None:
    images = sorted((patterns.parent / "patterns").iterdir())[:4]
    for image, name in zip(images, ["b.JPG", "a/z.jpg", "a/b/c.jpeg", "d.PNG"], strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, tmp_path / name)
    source = open_source(tmp_path, None)
    assert [source.name(row) for row in range(len(source))] == ["a/b/c.jpeg", "a/z.jpg", "b.JPG", "d.PNG"]
    assert source.read(2) == images[0].read_bytes()
    assert source.labels == {}


@pytest.mark.parametrize("name", ["p.lmdb", "packed"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_packed_file_is_known_by_its_content_and_may_end_in_a_slash(
    patterns: Path, tmp_path: Path, name: str, slash: str
) -> None:
    pack(open_source(patterns.parent, patterns), tmp_path / name, "age")
    source = open_source(Path(f"{tmp_path / name}{slash}"), patterns)
    assert isinstance(source, LmdbSource)
    listed = open_source(patterns.parent, patterns)
    assert source.read(7) == listed.read(7)
    assert source.name(7) == listed.name(7)


def test_the_integer_of_an_original_file_takes_the_name_asked_for(
    tmp_path: Path, write_plainly: Callable[..., None]
) -> None:
    write_plainly(tmp_path / "p.lmdb", [(b"a", 3), (b"b", 1)], 4)
    for attribute, column in ((None, "label"), ("race", "race"), ("recognition", "class")):
        labels = open_source(tmp_path / "p.lmdb", None, attribute).labels
        assert {name: values.tolist() for name, values in labels.items()} == {column: [3, 1]}


def test_a_file_that_names_its_attribute_is_not_overruled(patterns: Path, tmp_path: Path) -> None:
    pack(open_source(patterns.parent, patterns), tmp_path / "p.lmdb", "age")
    assert list(LmdbSource(tmp_path / "p.lmdb", "recognition").labels) == ["race", "gender", "age"]


def test_missing_and_unfit_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.lmdb"):
        open_source(tmp_path / "none.lmdb", None)
    with pytest.raises(MissingFileError, match=r"none\.txt"):
        open_source(tmp_path, tmp_path / "none.txt")
    with pytest.raises(EmptyDataError, match="no images"):
        open_source(tmp_path, None)
    with pytest.raises(UsageError, match="image list"):
        open_source(None, None)
    (tmp_path / "notes.txt").write_text("a.jpg 1 2 3\nb.jpg\n")
    with pytest.raises(UsageError, match=r"notes\.txt is a text file, not .*--image_list"):
        open_source(tmp_path / "notes.txt", None)
    with pytest.raises(ListFormatError, match=r"notes\.txt:2"):
        open_source(None, tmp_path / "notes.txt")


@pytest.mark.parametrize("name", ["gone.jpg", "folder", "bad\0name.jpg", "x" * 300])
def test_an_image_that_cannot_be_read_is_named_when_it_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnreadableImageError, match=name[:4]):
        FolderSource(ImageList(tmp_path, [name]), tmp_path).read(0)


def names(source: ImageSource) -> list[str]:
    return [source.name(row) for row in range(len(source))]


@pytest.mark.parametrize("name", ["photo.jpg", "photo.HEIC", "photo", ".hidden.jpg", "caf\udce9"])
def test_a_picture_in_place_of_a_folder_is_a_source_of_one(patterns: Path, tmp_path: Path, name: str) -> None:
    image = sorted((patterns.parent / "patterns").iterdir())[0]
    shutil.copy(image, tmp_path / name)
    source = open_source(tmp_path / name, None)
    assert (names(source), source.read(0), source.labels) == ([name], image.read_bytes(), {})
    assert names(open_photos([tmp_path / name])) == [str(tmp_path / name)]
    assert names(open_listed(tmp_path / name, None)) == [name]


def test_files_of_another_kind_are_named_as_what_they_are(patterns: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0isommp42")
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    for opened in (lambda path: open_source(path, None), lambda path: open_photos([path])):
        with pytest.raises(UsageError, match=r"clip\.mp4 is a video, not a picture"):
            opened(tmp_path / "clip.mp4")
        with pytest.raises(UsageError, match=r"model\.onnx is an ONNX network, not a picture"):
            opened(tmp_path / "model.onnx")
    with pytest.raises(UsageError, match=r"clip\.mp4 is a video, not a photo"):
        open_photos([patterns.parent, tmp_path / "clip.mp4"])
    with pytest.raises(UsageError, match=r"000001\.jpg is a picture: beside a list give the folder"):
        open_source(patterns.parent / "patterns" / "000001.jpg", patterns)
    with pytest.raises(UsageError, match="patterns is a folder, not the image list"):
        open_source(patterns.parent, patterns.parent / "patterns")
    with pytest.raises(UsageError, match=r"000001\.jpg is a JPEG picture, not the image list"):
        open_source(patterns.parent, patterns.parent / "patterns" / "000001.jpg")


def test_a_list_beside_a_packed_file_is_told_as_not_read(
    patterns: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pack(open_source(patterns.parent, patterns), tmp_path / "p.lmdb", "age")
    open_source(tmp_path / "p.lmdb", patterns)
    assert caplog.messages == [f"{patterns}: not read, since {tmp_path}/p.lmdb brings its own labels"]


def test_pictures_of_equal_names_in_several_folders_stay_apart_and_each_is_taken_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a/x.jpg", "b/x.jpg", "b/sub/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    given = [tmp_path / "b", tmp_path / "a", tmp_path / "a" / "x.jpg"]
    expected = [str(tmp_path / name) for name in ("b/sub/x.jpg", "b/x.jpg", "a/x.jpg")]
    assert names(open_photos(given)) == expected
    assert caplog.messages == ["named more than once, taken once: 1 photos"]


def test_subfolders_are_classes_but_for_hidden_ones_and_links_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("people/bo/1.jpg", "people/.git/2.jpg", "people/@eaDir/3.jpg", "far/4.jpg", "people/5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "people" / "ann").symlink_to(tmp_path / "far")
    source = open_people(tmp_path / "people")
    assert list(zip(names(source), source.labels["class"].tolist(), strict=True)) == [
        ("5.jpg", -1),
        ("ann/4.jpg", 0),
        ("bo/1.jpg", 1),
    ]
    assert caplog.messages == [f"{tmp_path}/people: hidden and system folders not searched: .git, @eaDir"]
    with pytest.raises(EmptyDataError, match="all images lie directly in it"):
        open_people(tmp_path / "far")


def test_subfolders_without_images_are_named_as_no_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("people/ann/1.jpg", "people/bo/deep/2.txt", "people/di/deep/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "people" / "carl").mkdir()
    assert open_people(tmp_path / "people").labels["class"].tolist() == [0, 1]
    assert caplog.messages == [
        f"{tmp_path}/people: 1 file left out: 1 .txt",
        f"{tmp_path}/people: folders without images, which are no classes: bo, carl",
    ]


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe is no regular file, not a picture"):
        open_source(tmp_path / "pipe", None)


def test_a_list_with_classes_goes_before_the_subfolders(patterns: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("patterns/000001.jpg 7\n")
    assert open_people(patterns.parent, tmp_path / "list.txt").labels["class"].tolist() == [7]


@pytest.mark.parametrize("name", ["faces.lmdb", "data.mdb"])
def test_the_one_lmdb_of_a_folder_without_pictures_stands_for_it(
    patterns: Path, tmp_path: Path, name: str
) -> None:
    pack(open_source(patterns.parent, patterns), tmp_path / "set" / name, "age")
    (tmp_path / "set" / "lock.mdb").touch()
    source = open_source(tmp_path / "set", None)
    assert isinstance(source, LmdbSource)
    assert source.labels["age"].tolist() == open_source(patterns.parent, patterns).labels["age"].tolist()
    (tmp_path / "set" / "a.jpg").touch()
    assert names(open_source(tmp_path / "set", None)) == ["a.jpg"]


def test_several_packed_files_in_a_folder_are_named(patterns: Path, tmp_path: Path) -> None:
    for name in ("train.lmdb", "val.lmdb"):
        pack(open_source(patterns.parent, patterns), tmp_path / name, "age")
    with pytest.raises(UsageError, match=r"holds train\.lmdb, val\.lmdb; name one of them"):
        open_source(tmp_path, None)
