"""Reads and writes packed files by the letter of the original's format, with nothing of the package."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lmdb
import msgpack
import pytest


def _write(path: Path, records: Sequence[Sequence[Any]], classes: int, backwards: bool = False) -> None:
    """The original's keys only; `backwards` lists `__keys__` from the last record to the first, as text."""
    keys = [str(row).encode() for row in range(len(records))]
    with lmdb.open(os.fspath(path), subdir=False, map_size=2**28, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            for key, record in zip(keys, records, strict=True):
                transaction.put(key, msgpack.packb(list(record)))
        with environment.begin(write=True) as transaction:
            listed = msgpack.packb(keys[::-1], use_bin_type=False) if backwards else msgpack.packb(keys)
            transaction.put(b"__keys__", listed)
            transaction.put(b"__len__", msgpack.packb(len(records)))
            transaction.put(b"__classnum__", msgpack.packb(classes))


def _read(path: Path) -> tuple[list[list[Any]], int]:
    """The records in the order of `__keys__`, and `__classnum__`."""
    options = {"subdir": False, "readonly": True, "lock": False, "readahead": False, "meminit": False}
    with lmdb.open(os.fspath(path), **options) as environment, environment.begin(write=False) as transaction:
        length = msgpack.unpackb(transaction.get(b"__len__"))
        keys = msgpack.unpackb(transaction.get(b"__keys__"))
        classes = msgpack.unpackb(transaction.get(b"__classnum__"))
        assert len(keys) == length
        return [msgpack.unpackb(transaction.get(key)) for key in keys], classes


@pytest.fixture
def write_plainly() -> Callable[..., None]:
    return _write


@pytest.fixture
def read_plainly() -> Callable[[Path], tuple[list[list[Any]], int]]:
    return _read
