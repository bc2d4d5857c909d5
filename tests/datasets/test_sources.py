from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.pack import pack
from face_analysis.datasets.packed import LmdbSource
from face_analysis.datasets.sources import FolderSource, open_source
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
