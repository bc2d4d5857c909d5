from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from face_analysis.datasets.faces import FaceDataset, collate
from face_analysis.datasets.lmdb.reader import LmdbReader
from face_analysis.datasets.pack import pack
from face_analysis.datasets.packed import LmdbSource
from face_analysis.datasets.sources import open_source
from face_analysis.errors import MissingFileError, PackedFileError

Writer = Callable[..., None]


@pytest.fixture(scope="module")
def packed(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "p.lmdb"
    pack(open_source(patterns.parent, patterns), path, "race")
    return path


@pytest.mark.parametrize("backwards", [False, True])
def test_files_of_the_original_are_read_in_the_order_of_their_keys(
    tmp_path: Path, backwards: bool, write_plainly: Writer
) -> None:
    records = [(os.urandom(50 + 700 * row), row * 7 % 101) for row in range(12)]
    write_plainly(tmp_path / "p.lmdb", records, 101, backwards)
    reader = LmdbReader(tmp_path / "p.lmdb")
    expected = records[::-1] if backwards else records
    assert [reader.record(row) for row in range(len(reader))] == [(*record, None) for record in expected]
    assert reader.labels["label"].tolist() == [label for _, label in expected]
    assert (reader.class_count, reader.attribute, reader.name(3)) == (101, None, "p.lmdb[3]")


def test_masks_of_the_original_are_read(tmp_path: Path, write_plainly: Writer) -> None:
    write_plainly(tmp_path / "p.lmdb", [(b"a", 1, b"mask"), (b"b", 0)], 2)
    reader = LmdbReader(tmp_path / "p.lmdb")
    assert [reader.record(row)[2] for row in (0, 1)] == [b"mask", None]


def test_a_file_of_the_original_holds_no_checksum_and_says_so(tmp_path: Path, write_plainly: Writer) -> None:
    write_plainly(tmp_path / "p.lmdb", [(b"a", 1)], 2)
    with pytest.raises(PackedFileError, match="no checksum"):
        LmdbReader(tmp_path / "p.lmdb").verify()


@pytest.mark.parametrize("row", [-1, 60])
def test_rows_outside_the_file_are_refused(packed: Path, row: int) -> None:
    with pytest.raises(IndexError, match="60"):
        LmdbReader(packed).record(row)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_the_parent_reads(packed: Path, method: str) -> None:
    dataset = FaceDataset(LmdbSource(packed), ["race", "age"])
    beside = LmdbReader(packed)  # a second reader of the same file, open across the fork
    assert beside.record(0) == dataset.source.reader.record(0)
    alone = list(DataLoader(dataset, batch_size=16, collate_fn=collate))
    loader = DataLoader(
        dataset, batch_size=16, collate_fn=collate, num_workers=2, multiprocessing_context=method
    )
    together = list(loader)
    assert len(alone) == len(together) == 4
    for expected, actual in zip(alone, together, strict=True):
        for left, right in zip(expected[:3], actual[:3], strict=True):
            assert torch.equal(left, right)
    assert beside.record(1) == dataset.source.reader.record(1)


def test_a_pickled_reader_carries_no_open_file(packed: Path) -> None:
    reader = LmdbReader(packed)
    reader.record(0)
    assert pickle.loads(pickle.dumps(reader)).record(5) == reader.record(5)


def test_threads_may_share_a_reader(packed: Path) -> None:
    reader = LmdbReader(packed)
    expected = [reader.record(row) for row in range(60)]
    found: list[bool] = []

    def read() -> None:
        found.append([reader.record(row) for row in range(60)] == expected)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


def test_a_file_packed_again_is_read_anew_while_the_old_reader_goes_on(
    packed: Path, tmp_path: Path, write_plainly: Writer
) -> None:
    path = tmp_path / "p.lmdb"
    write_plainly(path, [(b"old", 1)], 2)
    old = LmdbReader(path)
    write_plainly(tmp_path / "q.lmdb", [(b"new", 2)], 3)
    (tmp_path / "q.lmdb").replace(path)
    assert LmdbReader(path).record(0)[0] == b"new"
    assert old.record(0)[0] == b"old"


# A process of its own a test: reading past the end of a mapped file would end it with SIGBUS.
READ = """
import sys
from collections.abc import Callable
from pathlib import Path
from face_analysis.datasets.lmdb.reader import LmdbReader
from face_analysis.errors import PackedFileError
whole = Path(sys.argv[1]).read_bytes()
pages = len(whole) // 4096
cut = Path(sys.argv[2])
def broken(data):
    cut.unlink(missing_ok=True)
    cut.write_bytes(data)
    try:
        reader = LmdbReader(cut)
        [reader.record(row) for row in range(len(reader))]
        reader.labels, reader.name(0)
        reader.verify()
    except PackedFileError as error:
        assert str(cut) in str(error) and "again" in str(error) or "give the file" in str(error), error
        return True
    return False
if sys.argv[3] == "cut":
    sizes = [0, 1, 19, 20, 100, 4095, 4096, 4097, 8191, 8192, 8193, 20000, len(whole) // 2]
    sizes += [len(whole) - 4097, len(whole) - 4096, len(whole) - 1]
    for size in sizes:
        assert broken(whole[:size]), f"read although cut at {size} of {len(whole)}"
else:
    fill = {"zeros": bytes(4096), "ones": b"\\xff" * 4096}[sys.argv[3]]
    missed = []
    for page in range(pages):
        if not broken(whole[:page * 4096] + fill + whole[(page + 1) * 4096:]):
            missed.append(page)
    # A few pages are free or stale, and nobody reads them.
    assert len(missed) <= 4, missed
assert not broken(whole)
print("done")
"""


@pytest.mark.parametrize("damage", ["cut", "zeros", "ones"])
def test_damaged_files_are_refused_by_name_and_never_crash(packed: Path, tmp_path: Path, damage: str) -> None:
    command = [sys.executable, "-c", READ, str(packed), str(tmp_path / "cut.lmdb"), damage]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "done"), result.stderr


def test_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    for name, content in (("a.lmdb", b"text"), ("b.lmdb", os.urandom(9000)), ("c.lmdb", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PackedFileError, match=name):
            LmdbReader(tmp_path / name)
    with pytest.raises(MissingFileError, match=r"none\.lmdb"):
        LmdbReader(tmp_path / "none.lmdb")


def test_an_lmdb_of_something_else_is_refused(tmp_path: Path) -> None:
    with (
        lmdb.open(str(tmp_path / "p.lmdb"), subdir=False, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"0", b"\x00")
    with pytest.raises(PackedFileError, match=r"p\.lmdb.*__len__"):
        LmdbReader(tmp_path / "p.lmdb")


@pytest.mark.parametrize("record", [b"\xc1", b"\x05", b"\x92\x01\x02", b"\x91\xc4\x01a", b""])
def test_records_in_another_format_are_named(tmp_path: Path, record: bytes, write_plainly: Writer) -> None:
    write_plainly(tmp_path / "p.lmdb", [(b"a", 1), (b"b", 2)], 3)
    with (
        lmdb.open(str(tmp_path / "p.lmdb"), subdir=False, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"1", record)
    reader = LmdbReader(tmp_path / "p.lmdb")
    assert reader.record(0) == (b"a", 1, None)
    with pytest.raises(PackedFileError, match=r"p\.lmdb.*b'1'"):
        reader.record(1)
    with pytest.raises(PackedFileError):
        _ = reader.labels


def test_opening_reads_no_image(packed: Path, tmp_path: Path) -> None:
    path = shutil.copy(packed, tmp_path / "p.lmdb")
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\xd8\xff")
    data[start : start + 64] = bytes(64)
    path.write_bytes(data)
    reader = LmdbReader(path)
    np.testing.assert_array_equal(reader.labels["age"], LmdbReader(packed).labels["age"])
