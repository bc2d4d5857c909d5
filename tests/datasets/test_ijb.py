from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_analysis.datasets.pairs.ijb import is_ijb, open_ijb
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError
from tests.datasets.ijb_files import TEMPLATES, write_ijb

PAIRS = ((12, 40, 0), (40, 40, 1), (12, 12, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_ijb(tmp_path / "IJBC", TEMPLATES, PAIRS)


def test_the_lists_come_back_as_their_lines_say(folder: Path) -> None:
    assert is_ijb(folder)
    assert not is_ijb(folder / "meta")
    found = open_ijb(folder)
    assert (found.name, found.crops) == ("ijbc", folder / "loose_crop")
    rows = zip(found.images, found.templates[found.template], found.media, strict=True)
    assert tuple((str(image), int(template), int(media)) for image, template, media in rows) == TEMPLATES
    sides = (found.templates[found.first], found.templates[found.second], found.same)
    assert tuple(tuple(map(int, row)) for row in zip(*sides, strict=True)) == PAIRS
    lines = (folder / "meta" / "ijbc_name_5pts_score.txt").read_text().splitlines()
    for line, points in zip(lines, found.landmarks, strict=True):
        x_and_y = [float(cell) for cell in line.split(" ")[1:11]]
        np.testing.assert_allclose(points, list(zip(x_and_y[0::2], x_and_y[1::2], strict=True)), rtol=1e-6)


@pytest.mark.parametrize("end", ["\r\n", "\n\n", " \n"])
def test_other_ends_of_lines_change_nothing(folder: Path, end: str) -> None:
    before = open_ijb(folder)
    for path in (folder / "meta").iterdir():
        path.write_bytes(path.read_text().replace("\n", end).encode())
    after = open_ijb(folder)
    for name in ("images", "landmarks", "template", "media", "templates", "first", "second", "same"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "reason"),
    [
        ("face_tid_mid", "3.jpg 12 5", "3.jpg 12", 4, "expected `image template media`, found `3.jpg 12`"),
        ("face_tid_mid", "3.jpg 12 5", "3.jpg x 5", 4, "found `3.jpg x 5`"),
        ("face_tid_mid", "3.jpg 12 5", "3.jpg 99999999999 5", 4, "found `3.jpg 99999999999 5`"),
        ("face_tid_mid", "3.jpg 12 5", "3\xe9.jpg 12 5", 4, "expected `image template media`"),
        ("name_5pts_score", "3.jpg", "9.jpg", 4, "expected 3.jpg"),
        ("name_5pts_score", "0.99\n3.jpg", "0.99\n3.jpg nan", 4, "expected finite numbers"),
        ("name_5pts_score", "4.jpg", "4.jpg x", 5, "expected `image x1 y1 ... x5 y5 score`"),
        ("template_pair_label", "40 40 1", "40 40 2", 2, r"found `40 40 2`|0 or 1, found 2"),
        ("template_pair_label", "40 40 1", "40 41 1", 2, "template 41 has no image"),
        ("template_pair_label", "40 40 1", "\n40 99 1", 3, "template 99 has no image"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, name: str, old: str, new: str, line: int, reason: str) -> None:
    path = folder / "meta" / f"ijbc_{name}.txt"
    path.write_bytes(path.read_text().replace(old, new).encode("latin-1"))
    with pytest.raises(ListFormatError, match=rf"ijbc_{name}\.txt:{line}: .*({reason})"):
        open_ijb(folder)


def test_landmarks_of_too_few_images_are_refused(folder: Path) -> None:
    path = folder / "meta" / "ijbc_name_5pts_score.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ListFormatError, match="4 images, not 5"):
        open_ijb(folder)


@pytest.mark.parametrize("name", ["face_tid_mid", "name_5pts_score", "template_pair_label"])
def test_an_empty_or_absent_list_is_named(folder: Path, name: str) -> None:
    path = folder / "meta" / f"ijbc_{name}.txt"
    path.write_text("")
    with pytest.raises(EmptyDataError, match=path.name):
        open_ijb(folder)
    path.unlink()
    with pytest.raises(MissingFileError, match=name):
        open_ijb(folder)


def test_crops_of_another_format_are_found(folder: Path) -> None:
    for name, _, _ in TEMPLATES:
        (folder / "loose_crop" / name).with_suffix(".png").touch()
    expected = [Path(name).with_suffix(".png").name for name, _, _ in TEMPLATES]
    assert open_ijb(folder).images.tolist() == expected
