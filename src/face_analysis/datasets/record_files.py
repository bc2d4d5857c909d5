"""MXNet's RecordIO: the framing of records in a file, and the index that lies beside it."""

from __future__ import annotations

import os
import re
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import EmptyDataError, MissingFileError, PackedFileError

MAGIC = struct.pack("<I", 0xCED7230A)
WHOLE, FIRST, MIDDLE, LAST = range(4)
_LENGTH_BITS = 29
TRIED = 8
"""Records that are looked at to see whether an index fits its file."""
_INDEX_LINE = re.compile(rb"(\d{1,18})\t(\d{1,18})\r?\n?")


def is_records(path: Path) -> bool:
    """Whether a file starts with a record."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


class RecordFile:
    """Records by their offset in bytes; may be pickled, forked and shared by threads.

    Each part of a record is a magic number, a flag with the part's length, the bytes, and padding to four. A
    payload that holds the magic number at a multiple of four is cut there into parts, without it. Raises
    MissingFileError, and PackedFileError for a file that does not begin with a record.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise MissingFileError(path, "record file")
        self.path = path
        self._file = path.open("rb", buffering=0)
        self.size = path.stat().st_size
        if self._bytes(0, min(self.size, len(MAGIC))) != MAGIC:
            raise PackedFileError(f"{path}: not a RecordIO file; give the .rec file that im2rec wrote")

    def payload(self, offset: int) -> bytes:
        """The record that begins at `offset`. Raises PackedFileError where none does, or its end is gone."""
        return MAGIC.join(self._bytes(start, length) for start, length in self._parts(offset))

    def head(self, offset: int, length: int) -> bytes:
        """The payload's first `length` bytes, or all of it where it is shorter. Raises as `payload`."""
        found = b""
        for number, (start, size) in enumerate(self._parts(offset)):
            found += (MAGIC if number else b"") + self._bytes(start, min(size, length))
            if len(found) >= length:
                break
        return found[:length]

    def offsets(self) -> Iterator[int]:
        """Where each record begins, found by walking through the file. Raises as `payload`."""
        at = 0
        while at < self.size:
            yield at
            at = self.end(at)

    def end(self, offset: int) -> int:
        """Where the record that begins at `offset` ends, with its padding. Raises as `payload`."""
        end = offset
        for start, length in self._parts(offset):
            end = start + -(-length // 4) * 4
        return end

    def follows(self, offset: int) -> bool:
        """Whether a record begins at `offset`, which may be the file's end."""
        return offset + len(MAGIC) <= self.size and self._bytes(offset, len(MAGIC)) == MAGIC

    def damaged(self, offset: int, reason: str) -> PackedFileError:
        """The error for a record that is not as it should be."""
        return PackedFileError(f"{self.path}: damaged at byte {offset}, {reason}; copy the file again")

    def _parts(self, offset: int) -> Iterator[tuple[int, int]]:
        """Start and length of each part's bytes."""
        at, expected = offset, (WHOLE, FIRST)
        while True:
            header = self._bytes(at, 8) if 0 <= at <= self.size - 8 else b""
            if header[:4] != MAGIC:
                raise self.damaged(at, "where a record should begin")
            (word,) = struct.unpack_from("<I", header, 4)
            flag, length = word >> _LENGTH_BITS, word & (1 << _LENGTH_BITS) - 1
            if flag not in expected:
                raise self.damaged(at, f"a part of kind {flag} does not go here")
            if at + 8 + length > self.size:
                raise self.damaged(at, f"its {length} bytes reach beyond the file's end")
            yield at + 8, length
            if flag in (WHOLE, LAST):
                return
            at, expected = at + 8 + -(-length // 4) * 4, (MIDDLE, LAST)

    def _bytes(self, start: int, length: int) -> bytes:
        # Unlike seek and read, this leaves no position behind that threads or a fork would share.
        found = os.pread(self._file.fileno(), length, start)
        if len(found) != length:
            raise self.damaged(start, "the file became shorter")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "size": self.size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._file = self.path.open("rb", buffering=0)


def read_index(path: Path, records: RecordFile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys, ascending, and offsets, int64 (N,) each, of an index with lines `key<TAB>offset`.

    Raises PackedFileError that names the line for another form, and for an offset outside the file; or for a
    key given twice; EmptyDataError for an index without lines.
    """
    keys, offsets = array("q"), array("q")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            match = _INDEX_LINE.fullmatch(line)
            if match is None:
                raise PackedFileError(f"{path}:{number}: expected `key<TAB>offset`; copy the file again")
            keys.append(int(match[1]))
            offsets.append(int(match[2]))
            if offsets[-1] > records.size - 8:
                raise PackedFileError(
                    f"{path}:{number}: offset {offsets[-1]} lies outside {records.path.name} of "
                    f"{records.size} bytes; copy both files again"
                )
    if not keys:
        raise EmptyDataError(f"{path}: the index is empty; copy it again, or remove it to do without")
    order = np.argsort(np.array(keys), kind="stable")
    ordered = np.array(keys)[order]
    (twice,) = np.nonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        raise PackedFileError(f"{path}: key {ordered[twice[0]]} is there twice; copy the file again")
    return ordered, np.array(offsets)[order]


def require_fit(path: Path, records: RecordFile, offsets: NDArray[np.int64]) -> None:
    """Raise PackedFileError where an index is another file's, or cut short.

    Looked at are a few records spread over the file, and whether one follows the last.
    """
    places = np.sort(offsets)[np.linspace(0, len(offsets) - 1, TRIED).astype(int)].tolist()
    end = 0
    for place in places:
        try:
            end = records.end(place)
        except PackedFileError as error:
            raise PackedFileError(
                f"{path}: byte {place} of {records.path.name} is no whole record ({error}); copy both files "
                "again, or remove the index to do without"
            ) from error
    if records.follows(end):
        raise PackedFileError(
            f"{path}: cut short, records behind byte {end} of {records.path.name} are not in it; copy "
            "the index again, or remove it to do without"
        )
