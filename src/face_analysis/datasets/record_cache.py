"""What was read of a large .rec, kept in hidden files that the next start maps into memory."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.npy_files import npy_header
from face_analysis.errors import UsageError, WriteError
from face_analysis.files import hidden_name, remove_stale, whole_file
from face_analysis.zoo.find import cache_folder

Numbers = NDArray[np.int64]
KEPT_FROM = 100_000
"""Numbers; fewer are read anew in a second."""
_MARK = int.from_bytes(b"face.rec", "little")
_ABOUT = 7
"""How many numbers come first: a mark, what is kept, sizes and times of the files read, and a checksum."""


def kept(records: Path, index: Path, what: str, make: Callable[[], Numbers]) -> Numbers:
    """The numbers (N,) that `make` gives, of an earlier start where these two files have not changed since.

    They are kept beside the records, `.<name>.<what>.npy`, and where that place is taken or cannot be written
    in the folder `records` of the user's cache: int64, of which the first seven tell what was read. A file
    that is damaged, or of other sizes or times of change, is replaced; one that this did not write stays.
    Kept numbers are mapped into memory, so that processes share them, and cannot be written.
    """
    about = _about(records, index, what)
    places = _places(records, what)
    for place in places:
        found = _read(place, about)
        if found is not None:
            return found
    made = make()
    if len(made) < KEPT_FROM or _about(records, index, what) != about:
        return made
    for place in places:
        if not os.path.lexists(place) or _is_own(place):
            with suppress(WriteError):
                _write(place, about, made)
                return made
    return made


def _about(records: Path, index: Path, what: str) -> list[int]:
    """The mark, what is kept, and size and time of change of both files; -1 where there is no index."""
    found = [_MARK, zlib.crc32(what.encode())]
    for path in (records, index):
        try:
            status = path.stat()
            found += [status.st_size, status.st_mtime_ns]
        except FileNotFoundError:
            found += [-1, -1]
    return found


def _places(records: Path, what: str) -> list[Path]:
    places = [records.with_name(hidden_name(records.name, f"{what}.npy"))]
    with suppress(UsageError):  # there is no home folder
        key = hashlib.sha256(os.fsencode(records.resolve())).hexdigest()[:16]
        places.append(cache_folder() / "records" / f"{key}.{what}.npy")
    return places


def _read(place: Path, about: list[int]) -> Numbers | None:
    """The numbers of a whole file about the same records."""
    if not _is_own(place):
        return None
    try:
        array = np.load(place, mmap_mode="r", allow_pickle=False)
    except Exception:  # NumPy raises many kinds for a file that is damaged
        return None
    if array.dtype != np.int64 or array.ndim != 1 or array[: _ABOUT - 1].tolist() != about:
        return None
    content: Numbers = array[_ABOUT:].view(np.ndarray)
    return content if zlib.crc32(content.data) == array[_ABOUT - 1] else None


def _is_own(place: Path) -> bool:
    """Whether a regular file begins as those written here."""
    try:
        if not stat.S_ISREG(place.lstat().st_mode):
            return False
        with place.open("rb") as file:
            head = file.read(len(npy_header("<i8", (0,))) + 8)
    except OSError:
        return False
    return head.startswith(b"\x93NUMPY") and head.endswith(struct.pack("<q", _MARK))


def _write(place: Path, about: list[int], numbers: Numbers) -> None:
    with suppress(OSError):
        remove_stale(place.parent.iterdir(), place.name)
    first = np.array([*about, zlib.crc32(numbers.data)], np.int64)
    with whole_file(place) as partial, partial.open("wb") as file:
        file.write(npy_header("<i8", (_ABOUT + len(numbers),)))
        file.write(first.astype("<i8").tobytes())
        numbers.astype("<i8", copy=False).tofile(file)
