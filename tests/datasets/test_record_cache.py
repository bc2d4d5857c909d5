from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from face_analysis.datasets import record_cache
from face_analysis.datasets.record_source import RecordSource
from tests.datasets.record_files import labelled, write_records

Row = tuple[str, bytes, int]
NAMES = (".a.rec.index.npy", ".a.rec.labels.npy")


def everything(path: Path) -> list[Row]:
    source = RecordSource(path)
    labels = source.labels["class"].tolist()
    return [(source.name(row), source.read(row), labels[row]) for row in range(len(source))]


def write(path: Path, shift: int = 0, count: int = 40) -> list[Row]:
    images = [labelled(b"image %04d" % row, (row + shift) % 7) for row in range(count)]
    write_records(path, [labelled(b"", 1, count + 1), *images])
    return [(f"{path.name}[{row + 1}]", b"image %04d" % row, (row + shift) % 7) for row in range(count)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, where there was nothing yet; small files are kept too."""
    monkeypatch.setattr(record_cache, "KEPT_FROM", 1)
    monkeypatch.setenv("FACE_ANALYSIS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def path(cache: Path, tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "a.rec"


def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where records are read from here on."""
    places: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *words: places.append(words[2]) or pread(*words))
    return places


@pytest.mark.parametrize("indexed", [True, False])
def test_the_second_start_reads_no_record_and_no_index(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    rows = write(path)
    if not indexed:
        path.with_suffix(".idx").unlink()
    assert everything(path) == rows
    assert {file.name for file in path.parent.iterdir()} >= set(NAMES)
    assert not cache.exists()
    monkeypatch.setattr("face_analysis.datasets.record_source.read_index", None)
    places = reads(monkeypatch)
    source = RecordSource(path)
    assert source.labels["class"].tolist() == [label for _, _, label in rows]
    assert places == [0]  # whether it is a .rec at all
    for kept in (source.labels["class"], source._offsets):
        assert not kept.flags.writeable


@pytest.mark.parametrize(
    "change",
    [
        lambda path: write(path, shift=1),
        lambda path: write(path, count=41),
        lambda path: os.utime(path, (1, 1)),
        lambda path: os.utime(path.with_suffix(".idx"), (1, 1)),
        lambda path: path.with_suffix(".idx").unlink(),
    ],
    ids=["labels", "records", "time of records", "time of index", "no index"],
)
def test_files_that_changed_are_read_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], list[Row] | None]
) -> None:
    rows = write(path)
    for file in (path, path.with_suffix(".idx")):
        os.utime(file, (2, 2))
    assert everything(path) == rows
    rows = change(path) or rows
    places = reads(monkeypatch)
    assert everything(path) == rows
    assert len(places) > 2 * len(rows)
    places.clear()
    everything(path)
    assert len(places) < 4 * len(rows)  # the images alone


@pytest.mark.parametrize("name", NAMES)
def test_a_file_damaged_anywhere_is_made_anew(path: Path, cache: Path, name: str) -> None:
    rows = write(path)
    everything(path)
    place = path.with_name(name)
    whole = place.read_bytes()
    for at in range(0, len(whole), 5):
        place.write_bytes(whole[:at])
        assert everything(path) == rows
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        assert everything(path) == rows
    shutil.rmtree(cache)  # which took what could not be told from a file of the user
    place.write_bytes(whole[:-3])
    everything(path)
    assert place.read_bytes() == whole


def test_kept_numbers_are_not_taken_for_others_or_those_of_another_file(path: Path) -> None:
    rows, other = write(path), write(path.with_name("b.rec"), shift=3)
    index, labels = (path.with_name(name) for name in NAMES)
    for source, place in ((index, labels), (labels, index)):
        everything(path)
        kept = source.read_bytes()
        place.write_bytes(kept)
        assert everything(path) == rows
    for name in NAMES:
        shutil.copy(path.with_name(name), path.with_name(name.replace("a.rec", "b.rec")))
    os.utime(path.with_name("b.rec"), (1, 1))
    assert everything(path.with_name("b.rec")) == other


def a_link(place: Path) -> None:
    target = place.with_name("target")
    target.write_text("precious")
    place.symlink_to(target)


@pytest.mark.parametrize(
    "take",
    [
        lambda place: place.write_text("precious"),
        lambda place: np.save(place.open("wb"), np.arange(99)),
        lambda place: place.touch(),
        lambda place: place.mkdir(),
        os.mkfifo,
        a_link,
    ],
    ids=["text", "array", "empty", "folder", "pipe", "link"],
)
def test_what_a_user_has_in_its_place_stays_and_the_cache_of_the_user_takes_it(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, take: Callable[[Path], object]
) -> None:
    def there() -> dict[str, tuple[int, int, int]]:
        status = {file.name: file.lstat() for file in path.parent.iterdir()}
        return {name: (one.st_ino, one.st_size, one.st_mtime_ns) for name, one in status.items()}

    rows = write(path)
    for name in NAMES:
        take(path.with_name(name))
    before = there()
    assert everything(path) == rows
    assert there() == before
    assert len(list((cache / "records").iterdir())) == 2
    places = reads(monkeypatch)
    _ = RecordSource(path).labels
    assert places == [0]


def test_where_nothing_can_be_written_records_are_read_each_time(path: Path, cache: Path) -> None:
    rows = write(path)
    cache.write_text("no folder")
    for name in NAMES:
        path.with_name(name).mkdir()
    assert everything(path) == everything(path) == rows
    assert cache.read_text() == "no folder"


def test_half_a_file_of_a_killed_run_goes_with_the_next(path: Path) -> None:
    rows = write(path)
    key = hashlib.sha256(NAMES[0].encode()).hexdigest()[:12]
    stale = path.with_name(f".{key}-00000000.partial")
    stale.write_bytes(b"half")
    assert everything(path) == rows
    assert not stale.exists()


def test_several_runs_at_once_find_the_same(path: Path) -> None:
    rows = write(path, count=3000)
    for _ in range(3):
        for name in NAMES:
            path.with_name(name).unlink(missing_ok=True)
        with multiprocessing.get_context("fork").Pool(4) as pool:
            assert pool.map(everything, [path] * 8, 1) == [rows] * 8
        assert sorted(file.name for file in path.parent.iterdir()) == sorted(["a.idx", "a.rec", *NAMES])


def test_a_small_file_leaves_nothing_beside_it(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("FACE_ANALYSIS_CACHE", str(cache))
    rows = write(path)
    assert everything(path) == rows
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.idx", "a.rec"]
    assert not cache.exists()
