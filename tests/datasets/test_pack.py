from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from face_analysis.datasets.encoding import Encoding
from face_analysis.datasets.lmdb.reader import LmdbReader
from face_analysis.datasets.lmdb.writer import LmdbWriter
from face_analysis.datasets.pack import PackSettings, pack
from face_analysis.datasets.sources import open_people, open_source
from face_analysis.errors import (
    EmptyDataError,
    MissingFileError,
    PackedFileError,
    UnreadableImageError,
    UsageError,
    WriteError,
)
from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode, fit
from tests.conftest import FACES_OF

Reader = Callable[[Path], tuple[list[list[Any]], int]]


def listed(folder: Path, lines: list[str]) -> Path:
    path = folder / "list.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("attribute", "column"), [("race", 0), ("gender", 1), ("age", 2)])
def test_a_plain_reader_finds_every_image_byte_for_byte(
    patterns: Path, tmp_path: Path, attribute: str, column: int, read_plainly: Reader
) -> None:
    report = pack(open_source(patterns.parent, patterns), tmp_path / "p.lmdb", attribute)
    rows = [line.split(" ") for line in patterns.read_text().splitlines()]
    records, classes = read_plainly(tmp_path / "p.lmdb")
    assert records == [[(patterns.parent / row[0]).read_bytes(), int(row[1 + column])] for row in rows]
    largest = max(int(row[1 + column]) for row in rows)
    assert classes == (largest if attribute == "age" else largest + 1)
    assert (report.written, report.left_out, report.failures) == (60, 0, [])


def test_every_label_column_and_name_is_kept(patterns: Path, tmp_path: Path) -> None:
    source = open_source(patterns.parent, patterns)
    pack(source, tmp_path / "p.lmdb", "gender")
    reader = LmdbReader(tmp_path / "p.lmdb")
    assert reader.attribute == "gender"
    assert list(reader.labels) == ["race", "gender", "age"]
    for name, values in source.labels.items():
        np.testing.assert_array_equal(reader.labels[name], values)
    assert [reader.name(row) for row in range(60)] == [source.name(row) for row in range(60)]


def test_rows_of_unknown_label_are_left_out_and_counted(
    patterns: Path, tmp_path: Path, read_plainly: Reader
) -> None:
    names = [line.split(" ")[0] for line in patterns.read_text().splitlines()][:6]
    labels = ["0 1 20", "5 0 30", "-1 0 40", "4 -1 101", "3 0 0", "2 2 100"]
    path = listed(tmp_path, [f"{name} {label}" for name, label in zip(names, labels, strict=True)])
    source = open_source(patterns.parent, path)
    for attribute, kept, column in (
        ("race", [0, 3, 4, 5], 0),
        ("gender", [0, 1, 2, 4], 1),
        ("age", [0, 1, 2, 4, 5], 2),
    ):
        report = pack(source, tmp_path / "p.lmdb", attribute)
        assert (report.written, report.left_out) == (len(kept), 6 - len(kept))
        records, _ = read_plainly(tmp_path / "p.lmdb")
        assert [label for _, label in records] == [int(labels[row].split(" ")[column]) for row in kept]


def test_broken_and_missing_images_are_named_and_the_rest_is_packed(
    patterns: Path, tmp_path: Path, read_plainly: Reader
) -> None:
    names = [line.split(" ")[0] for line in patterns.read_text().splitlines()]
    for name in names[:3]:
        shutil.copy(patterns.parent / name, tmp_path)
    files = [Path(name).name for name in names[:3]]
    whole = (tmp_path / files[1]).read_bytes()
    (tmp_path / files[1]).write_bytes(whole[: len(whole) // 2])
    path = listed(tmp_path, [f"{files[0]} 7", f"{files[1]} 8", "gone.jpg 9", f"{files[2]} 2"])
    report = pack(open_source(tmp_path, path), tmp_path / "p.lmdb", "recognition")
    assert [failure.path for failure in report.failures] == [files[1], "gone.jpg"]
    assert "JPEG" in report.failures[0].reason
    assert "No such file" in report.failures[1].reason
    records, classes = read_plainly(tmp_path / "p.lmdb")
    assert [label for _, label in records] == [7, 2]
    assert classes == 8


def test_a_folder_is_packed_with_sorted_subfolders_as_classes(
    patterns: Path, tmp_path: Path, read_plainly: Reader
) -> None:
    images = sorted((patterns.parent / "patterns").iterdir())[:5]
    for image, person in zip(images, ["zoe", "adam", "zoe", "mia", "adam"], strict=True):
        (tmp_path / "people" / person).mkdir(parents=True, exist_ok=True)
        shutil.copy(image, tmp_path / "people" / person)
    shutil.copy(images[0], tmp_path / "people" / "stray.jpg")
    report = pack(open_people(tmp_path / "people"), tmp_path / "p.lmdb", "recognition")
    records, classes = read_plainly(tmp_path / "p.lmdb")
    expected = [(images[1], 0), (images[4], 0), (images[3], 1), (images[0], 2), (images[2], 2)]
    assert records == [[image.read_bytes(), label] for image, label in expected]
    assert (classes, report.written, report.left_out) == (3, 5, 1)


def test_nothing_to_pack_is_an_error_and_writes_nothing(patterns: Path, tmp_path: Path) -> None:
    path = listed(tmp_path, ["a.jpg 9 9 999"])
    source = open_source(tmp_path, path)
    with pytest.raises(EmptyDataError, match=r"list\.txt.*race"):
        pack(source, tmp_path / "p.lmdb", "race")
    with pytest.raises(EmptyDataError, match=r"list\.txt.*recognition"):
        pack(source, tmp_path / "p.lmdb", "recognition")
    with pytest.raises(EmptyDataError, match="no image is left"):
        pack(open_source(tmp_path, listed(tmp_path, ["gone.jpg 1 1 1"])), tmp_path / "p.lmdb", "race")
    with pytest.raises(UsageError, match="hair"):
        pack(source, tmp_path / "p.lmdb", "hair")
    with pytest.raises(MissingFileError):
        open_people(tmp_path / "none")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["list.txt"]


def test_a_pack_interrupted_before_it_wrote_leaves_the_former_file_and_nothing_else(
    patterns: Path, tmp_path: Path
) -> None:
    target = tmp_path / "p.lmdb"
    target.write_bytes(b"former")
    with pytest.raises(KeyboardInterrupt), LmdbWriter(target, "race", ["race"]) as writer:  # noqa: PT012
        writer.add("a", b"image", {"race": 1})
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["p.lmdb"]
    assert target.read_bytes() == b"former"


def test_the_map_grows_with_the_data_and_the_file_is_not_sparse(tmp_path: Path) -> None:
    target = tmp_path / "p.lmdb"
    image = os.urandom(2**20)
    with LmdbWriter(target, "race", ["race"]) as writer:
        for row in range(150):
            writer.add(f"{row}", image, {"race": row % 5})
    status = target.stat()
    assert 150 * 2**20 < status.st_size < 152 * 2**20
    assert status.st_blocks * 512 >= status.st_size
    reader = LmdbReader(target)
    assert reader.record(149) == (image, 4, None)


def test_masks_are_packed_as_a_third_item(tmp_path: Path, read_plainly: Reader) -> None:
    with LmdbWriter(tmp_path / "p.lmdb", "age", ["age"]) as writer:
        writer.add("a", b"image", {"age": 30}, b"mask")
        writer.add("b", b"other", {"age": 31})
    assert read_plainly(tmp_path / "p.lmdb") == ([[b"image", 30, b"mask"], [b"other", 31]], 31)


def test_verification_finds_a_single_changed_byte(patterns: Path, tmp_path: Path) -> None:
    pack(open_source(patterns.parent, patterns), tmp_path / "p.lmdb", "race")
    LmdbReader(tmp_path / "p.lmdb").verify()
    data = bytearray((tmp_path / "p.lmdb").read_bytes())
    image = (patterns.parent / "patterns" / "000030.jpg").read_bytes()
    at = data.index(image) + len(image) // 2
    data[at] ^= 1
    (tmp_path / "q.lmdb").write_bytes(data)
    with pytest.raises(PackedFileError, match=r"q\.lmdb.*checksum"):
        LmdbReader(tmp_path / "q.lmdb").verify()


FILL = """
import os, resource, sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from face_analysis.datasets.lmdb.writer import LmdbWriter
from face_analysis.errors import WriteError
if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with LmdbWriter(Path(sys.argv[1]), "race", ["race"]) as writer:
        for row in range(int(sys.argv[3])):
            writer.add("a", os.urandom(100_000), {"race": 1})
except WriteError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def filled(target: Path, limit: int, images: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FILL, str(target), str(limit), str(images)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("images", [30, 500], ids=["at the end", "on the way"])
def test_a_full_disk_is_reported_and_the_former_file_kept(tmp_path: Path, images: int) -> None:
    target = tmp_path / "p.lmdb"
    target.write_bytes(b"former")
    result = filled(target, 2**20, images)
    assert result.returncode == 1, result.stderr
    assert f"cannot write {target}" in result.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["p.lmdb"]
    assert target.read_bytes() == b"former"


def test_a_full_file_system_is_reported_and_left_clean(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root; the limit on file size is tested without")
    try:
        result = filled(tmp_path / "p.lmdb", 0, 30)
        left = list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert result.returncode == 1, result.stderr
    assert "no space left" in result.stdout
    assert left == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    target = tmp_path / "file" / "p.lmdb"
    with pytest.raises(WriteError, match=r"p\.lmdb"), LmdbWriter(target, "race", ["race"]):
        pass


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "p.lmdb"
    with LmdbWriter(target, "race", ["race"]) as writer:
        writer.add("a", b"image", {"race": 1})
        with pytest.raises(WriteError, match="another process"), LmdbWriter(target, "race", ["race"]):
            pass
    assert len(LmdbReader(target)) == 1


def test_strict_refuses_what_cannot_be_used_and_writes_nothing(patterns: Path, tmp_path: Path) -> None:
    lines = [f"{line.split(' ')[0]} 1" for line in patterns.read_text().splitlines()]
    source = open_source(patterns.parent, listed(tmp_path, [*lines[:50], "gone.jpg 2"]))
    with pytest.raises(UnreadableImageError, match=r"gone\.jpg.*--strict"):
        pack(source, tmp_path / "p.lmdb", "recognition", PackSettings(strict=True))
    assert [file.name for file in tmp_path.iterdir()] == ["list.txt"]


def test_images_written_anew_have_the_size_and_look_the_same(
    patterns: Path, tmp_path: Path, read_plainly: Reader
) -> None:
    source = open_source(patterns.parent, patterns)
    encoding = Encoding(ChipMaker(size=64), quality=100)
    pack(source, tmp_path / "p.lmdb", "race", PackSettings(encoding))
    records, _ = read_plainly(tmp_path / "p.lmdb")
    for row, (image, _) in enumerate(records):
        with Pillow.open(io.BytesIO(image)) as found:
            assert (found.format, found.size) == ("JPEG", (64, 64))
            expected = fit(decode(source.read(row), "image"), 64)
            assert np.abs(np.asarray(found, float) - expected).mean() < 1.5


def test_aligned_photos_become_the_chips_of_their_middle_faces(
    photos: Path, tmp_path: Path, read_plainly: Reader
) -> None:
    names = [*FACES_OF, "sub/broken.jpg"]
    source = open_source(photos, listed(tmp_path, [f"{name} {row}" for row, name in enumerate(names)]))
    maker = ChipMaker.with_detector("centre")
    report = pack(source, tmp_path / "p.lmdb", "recognition", PackSettings(Encoding(maker, quality=100)))
    assert [failure.path for failure in report.failures] == ["empty.png", "sub/broken.jpg"]
    assert report.failures[0].reason.endswith("no face found")
    records, _ = read_plainly(tmp_path / "p.lmdb")
    assert [label for _, label in records] == [0, 2, 3, 4]
    for image, row in records:
        name = names[row]
        (chip,) = maker.cut(decode((photos / name).read_bytes(), name), name)
        found = np.asarray(Pillow.open(io.BytesIO(image)), float)
        assert np.abs(found - chip.pixels).mean() < 1.5
