"""Damaged and hostile files: a named error or values, never another exception, and no wait."""

from __future__ import annotations

import pickle
import pickletools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.lmdb.reader import LmdbReader
from face_analysis.datasets.pairs.bins import read_bin
from face_analysis.datasets.pairs.pairs import Pairs
from face_analysis.datasets.pairs.protocols import read_labelled, read_lfw
from face_analysis.datasets.pairs.sets import open_pairs, write_pair_set
from face_analysis.datasets.record_source import RecordSource
from face_analysis.errors import FaceAnalysisError
from tests.datasets.record_files import MAGIC, labelled, write_records

thorough = settings(
    max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
edits = st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=9)), max_size=6)


def edited(data: bytes, changes: list[tuple[int, bytes]], cut: int) -> bytes:
    """The data with bytes overwritten here and there, and now and then its end cut off."""
    changed = bytearray(data)
    for at, new in changes:
        at %= len(data)
        changed[at : at + len(new)] = new
    return bytes(changed[: cut % len(data)] if cut % 3 == 0 else changed)


def named_errors_only(read: Callable[[], object]) -> bool:
    """Whether it could be read."""
    try:
        read()
    except FaceAnalysisError:
        return False
    return True


def read_records(path: Path) -> None:
    source = RecordSource(path)
    assert all(isinstance(source.read(row), bytes) for row in range(len(source)))
    assert all(len(column) == len(source) for column in source.labels.values())


@thorough
@given(changes=edits, cut=st.integers(0, 2**16), indexed=st.booleans(), face_set=st.booleans())
def test_damaged_records(
    tmp_path: Path, changes: list[tuple[int, bytes]], cut: int, indexed: bool, face_set: bool
) -> None:
    path = tmp_path / "a.rec"
    head = [labelled(b"", 1, 5)] if face_set else []
    payloads = [labelled(b"abcd" + MAGIC + b"efgh", 1, 2), labelled(b"xyz", 3), labelled(b"", 4), b"short"]
    write_records(path, head + payloads[:3])
    if not indexed:
        path.with_suffix(".idx").unlink()
    assert named_errors_only(lambda: read_records(path))
    path.write_bytes(edited(path.read_bytes(), changes, cut))
    named_errors_only(lambda: read_records(path))


@thorough
@given(
    st.binary(max_size=60)
    | st.lists(st.tuples(st.integers(-2, 9), st.integers(-4, 200))).map(
        lambda rows: "".join(f"{key}\t{offset}\n" for key, offset in rows).encode()
    )
)
def test_any_index(tmp_path: Path, index: bytes) -> None:
    path = tmp_path / "a.rec"
    write_records(path, [labelled(b"", 1, 5), labelled(b"a", 1), labelled(b"b", 2)])
    path.with_suffix(".idx").write_bytes(index)
    named_errors_only(lambda: read_records(path))


def sets() -> list[bytes]:
    images = [b"\xff\xd8first", b"second" * 50, b"third", b"fourth"]
    arrays = [np.frombuffer(one, np.uint8).copy() for one in images]
    values = [(images, [True, False]), (arrays, np.array([True, False])), (images, [np.True_, np.False_])]
    return [pickle.dumps(value, protocol) for value in values for protocol in range(6)]


SETS = sets()
PIECES = [
    *(opcode.code.encode("latin1") for opcode in pickletools.opcodes),
    b"c_codecs\nencode\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"cnumpy.core.numeric\n_frombuffer\n",
    b"cnumpy\nndarray\n",
    b"cnumpy\ndtype\n",
    b"cos\nsystem\n",
    b"U\x02b1",
    b"X\x06\x00\x00\x00latin1",
    b"q\x00",
    b"h\x00",
    b"K\x01\x85",
]


@thorough
@given(st.sampled_from(SETS), edits, st.integers(0, 2**16))
def test_damaged_sets(tmp_path: Path, data: bytes, changes: list[tuple[int, bytes]], cut: int) -> None:
    (tmp_path / "a.bin").write_bytes(edited(data, changes, cut))
    named_errors_only(lambda: read_bin(tmp_path / "a.bin"))


@thorough
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=30))
def test_any_order_of_opcodes(tmp_path: Path, pieces: list[bytes]) -> None:
    (tmp_path / "a.bin").write_bytes(b"".join(pieces) + b".")
    named_errors_only(lambda: read_bin(tmp_path / "a.bin"))


LISTS = [b"a.jpg 0 1 20\nb c.jpg -1 0 101\n", b'path,race,subject\n"a, b",1,x\nc,,\n', b"a.jpg 1\n", b"a\n"]


@thorough
@given(
    st.binary(max_size=80) | st.builds(edited, st.sampled_from(LISTS), edits, st.integers(0, 2**16)),
    st.sampled_from(["a.txt", "a.csv"]),
)
def test_any_image_list(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    named_errors_only(lambda: read_image_list(tmp_path / name))


PROTOCOLS = [b"1 2\nAnn 1 2\nBo 1 2\nAnn 1 Bo 1\nBo 1 Ann 2\n", b"a.jpg 1\nb.jpg 1\nc.jpg 0\na.jpg 0\n"]


@thorough
@given(st.binary(max_size=80) | st.builds(edited, st.sampled_from(PROTOCOLS), edits, st.integers(0, 2**16)))
def test_any_list_of_pairs(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes(data)
    named_errors_only(lambda: read_lfw(path))
    named_errors_only(lambda: read_labelled(path))


@pytest.fixture(scope="module")
def whole_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "set"
    rows = np.array([0, 1])
    chips = [(np.zeros((112, 112, 3), np.uint8), True)] * 2
    write_pair_set(folder, ["a", "b"], Pairs(rows, rows[::-1], rows == 1, rows), chips)
    return folder


@thorough
@given(st.sampled_from(["images.npy", "images.csv", "pairs.csv"]), edits, st.integers(0, 2**16))
def test_damaged_pair_sets(
    tmp_path: Path, whole_set: Path, name: str, changes: list[tuple[int, bytes]], cut: int
) -> None:
    shutil.copytree(whole_set, tmp_path / "set", dirs_exist_ok=True)
    whole = (whole_set / name).read_bytes()
    changes = [(at % 128, new) for at, new in changes]  # of images.npy the header
    (tmp_path / "set" / name).write_bytes(edited(whole, changes, cut))
    named_errors_only(lambda: open_pairs(tmp_path / "set"))


def read_packed(path: Path) -> None:
    reader = LmdbReader(path)
    for row in range(len(reader)):
        image, label, mask = reader.record(row)
        assert isinstance(image, bytes)
        assert isinstance(label, int)
        assert mask is None or isinstance(mask, bytes)
        assert isinstance(reader.name(row), str)
    for name, column in reader.labels.items():
        assert isinstance(name, str)
        assert column.dtype == np.int64
        assert len(column) == len(reader)
    reader.verify()


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=12)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=7) | st.integers(0, 3), inner)
    ),
    max_leaves=6,
)
whole = {
    b"0": [b"image", 1],
    b"1": [b"other", 0, b"mask"],
    b"__len__": 2,
    b"__keys__": [b"0", b"1"],
    b"__classnum__": 2,
    b"__labels__": {"columns": ["class"], "data": b"\1\0\0\0\0\0\0\0"},
    b"__paths__": ["a", "b"],
    b"__attribute__": "recognition",
    b"__checksum__": "0" * 64,
}
near = st.sampled_from(
    [
        [b"image", float("inf")],
        [b"image", float("nan")],
        [b"image", 2**64 - 1],
        [b"image", b"7"],
        [b"image", 1, 5],
        {"columns": ["a", "b"], "data": b""},
        {"columns": [[], {}], "data": bytes(16)},
        {"columns": [3], "data": bytes(8)},
        {"columns": [], "data": b""},
        [1, 2],
        2**63,
        -1,
    ]
)
packed_bytes = st.one_of(near.map(msgpack.packb), values.map(msgpack.packb), st.binary(max_size=20))


@thorough
@given(st.dictionaries(st.sampled_from(list(whole)), packed_bytes | st.none(), max_size=3))
def test_packed_files_with_other_values(tmp_path: Path, replaced: dict[bytes, bytes | None]) -> None:
    path = tmp_path / "a.lmdb"
    path.unlink(missing_ok=True)
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=2**20, sync=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in whole.items():
            packed = replaced.get(key, msgpack.packb(value))
            if packed is not None:
                transaction.put(key, packed)
    named_errors_only(lambda: read_packed(path))
