from __future__ import annotations

import os
import pickle
import random
import re
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from face_analysis.datasets.record_files import RecordFile, read_index
from face_analysis.errors import EmptyDataError, MissingFileError, PackedFileError
from tests.datasets.record_files import MAGIC, framed, part, write_records

PAYLOADS = [
    b"",
    b"a",
    b"four",
    b"x" * 1001,
    MAGIC,
    MAGIC * 3,
    b"head" + MAGIC + b"tail",
    b"odd" + MAGIC + b"not cut, since not at a multiple of four",
    b"abcd" * 5 + MAGIC + b"between" + b"." + MAGIC + b"efgh" + MAGIC,
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_records(tmp_path / "a.rec", PAYLOADS)
    return tmp_path / "a.rec"


def test_payloads_come_back_also_where_they_hold_the_magic_number(path: Path) -> None:
    records = RecordFile(path)
    offsets = list(records.offsets())
    assert [records.payload(offset) for offset in offsets] == PAYLOADS
    for length in (0, 1, 3, 4, 5, 10, 24, 25, 40, 2000):
        assert [records.head(offset, length) for offset in offsets] == [each[:length] for each in PAYLOADS]


def test_any_mixture_of_magic_numbers_comes_back(tmp_path: Path) -> None:
    generator = random.Random(3)
    payloads = [
        b"".join(generator.choice((MAGIC, b"abcd", b"z")) for _ in range(generator.randrange(12)))
        for _ in range(200)
    ]
    offsets = write_records(tmp_path / "a.rec", payloads)
    records = RecordFile(tmp_path / "a.rec")
    assert list(records.offsets()) == offsets
    assert [records.payload(offset) for offset in offsets] == payloads


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (part(0, b"abcd")[:-1], "beyond the file's end"),
        (part(1, b"abcd"), "where a record should begin"),
        (part(1, b"abcd") + part(0, b"abcd"), "kind 0 does not go here"),
        (part(1, b"abcd") + part(1, b"abcd") + part(3, b""), "kind 1 does not go here"),
        (part(2, b"abcd"), "kind 2 does not go here"),
        (part(3, b"abcd"), "kind 3 does not go here"),
        (part(5, b"abcd"), "kind 5 does not go here"),
        (part(1, b"abcd") + part(2, b"abcd"), "where a record should begin"),
        (MAGIC + struct.pack("<I", (1 << 29) - 1) + b"few", "536870911 bytes reach beyond"),
        (part(0, b"abcd") + b"text", "where a record should begin"),
        (part(0, b"abcd") + b"\0" * 8, "where a record should begin"),
        (MAGIC, "where a record should begin"),
    ],
)
def test_damage_is_named_with_its_place(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.rec").write_bytes(data)
    records = RecordFile(tmp_path / "a.rec")
    with pytest.raises(PackedFileError, match=rf"a\.rec: damaged at byte \d+, .*{reason}"):
        list(map(records.payload, records.offsets()))


@pytest.mark.parametrize("data", [b"", b"\x0a", b"RIFFabcd", bytes(100), MAGIC[::-1] + bytes(8)])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.rec").write_bytes(data)
    with pytest.raises(PackedFileError, match=r"a\.rec: not a RecordIO file"):
        RecordFile(tmp_path / "a.rec")
    with pytest.raises(MissingFileError, match=r"b\.rec"):
        RecordFile(tmp_path / "b.rec")


def test_a_file_that_shrinks_while_it_is_read_is_named(path: Path) -> None:
    records = RecordFile(path)
    last = list(records.offsets())[-1]
    os.truncate(path, last + 20)
    with pytest.raises(PackedFileError, match="became shorter"):
        records.payload(last)


def test_threads_a_fork_and_a_pickled_copy_read_the_same(path: Path) -> None:
    records = RecordFile(path)
    offsets = list(records.offsets())
    copy = pickle.loads(pickle.dumps(records))
    assert [copy.payload(offset) for offset in offsets] == PAYLOADS
    wrong: list[bytes] = []

    def read() -> None:
        for turn in range(300):
            number = turn % len(offsets)
            if records.payload(offsets[number]) != PAYLOADS[number]:
                wrong.append(PAYLOADS[number])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    child = os.fork()
    if child == 0:
        os._exit(int([records.payload(offset) for offset in offsets] != PAYLOADS))
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert wrong == []


def test_an_index_is_sorted_by_its_keys(path: Path) -> None:
    index = path.with_suffix(".idx")
    index.write_bytes(b"7\t24\r\n0\t0\r\n12\t8")
    keys, offsets = read_index(index, RecordFile(path))
    np.testing.assert_array_equal(keys, [0, 7, 12])
    np.testing.assert_array_equal(offsets, [0, 24, 8])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"0\t0\n1 20\n", r"a\.idx:2: expected `key<TAB>offset`"),
        (b"0\t0\n\n1\t20\n", r"a\.idx:2: expected"),
        (b"0\t0\n-1\t20\n", r"a\.idx:2: expected"),
        (b"0\t0\n1\t" + b"9" * 30, r"a\.idx:2: expected"),
        (b"0\t0\n1\t99999999\n", r"a\.idx:2: offset 99999999 lies outside a\.rec"),
        (b"3\t0\n3\t20\n", r"a\.idx: key 3 is there twice"),
        (b"\xff\xfe", r"a\.idx:1: expected"),
    ],
)
def test_a_wrong_index_is_named_with_its_line(path: Path, text: bytes, message: str) -> None:
    path.with_suffix(".idx").write_bytes(text)
    with pytest.raises(PackedFileError, match=message):
        read_index(path.with_suffix(".idx"), RecordFile(path))


def test_an_empty_index_is_named(path: Path) -> None:
    path.with_suffix(".idx").write_bytes(b"")
    with pytest.raises(EmptyDataError, match=re.escape(str(path.with_suffix(".idx")))):
        read_index(path.with_suffix(".idx"), RecordFile(path))


def test_an_offset_between_records_is_found_when_it_is_read(path: Path) -> None:
    with pytest.raises(PackedFileError, match="damaged at byte 4, where a record should begin"):
        RecordFile(path).payload(4)
    assert framed(b"ab")[4:8] == struct.pack("<I", 2)
