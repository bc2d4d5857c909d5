"""Opens packed files: checks that the file is whole first, and keeps one LMDB environment a process."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from face_analysis.errors import MissingFileError, PackedFileError

if TYPE_CHECKING:
    import lmdb

MAGIC = struct.pack("=I", 0xBEEFC0DE)
_MAGIC_OFFSET = 16
_open: WeakValueDictionary[tuple[int, int, int], lmdb.Environment] = WeakValueDictionary()
_lock = threading.Lock()


def is_lmdb(path: Path) -> bool:
    """Whether a file starts like an LMDB."""
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_OFFSET + 4)[_MAGIC_OFFSET:] == MAGIC
    except OSError:
        return False


def open_environment(path: Path) -> lmdb.Environment:
    """The read-only environment of a packed file, shared by all readers in this process.

    LMDB allows one a process and none across a fork, so those inherited from a parent are closed first.
    Raises MissingFileError, and PackedFileError for a file that is no LMDB or ends before its last page.
    """
    if not path.is_file():
        raise MissingFileError(path, "packed file")
    if not is_lmdb(path):
        raise PackedFileError(f"{path}: not an LMDB file; give the file that `pack` wrote")
    with _lock:
        for (process, _, _), inherited in list(_open.items()):
            if process != os.getpid():
                inherited.close()
        status = path.stat()
        key = (os.getpid(), status.st_dev, status.st_ino)
        environment = _open.get(key)
        if environment is None:
            environment = _open[key] = opened(path)
    return environment


def opened(path: Path) -> lmdb.Environment:
    """A read-only environment that is not shared. Raises PackedFileError for a file that is cut short."""
    import lmdb

    try:
        environment = lmdb.open(os.fsencode(path), subdir=False, readonly=True, lock=False, readahead=False)
        pages, page_size = environment.info()["last_pgno"] + 1, environment.stat()["psize"]
    except lmdb.Error as error:
        raise PackedFileError(f"{path}: cannot be opened as LMDB ({error}); pack again") from error
    # Touching a mapped page beyond the end of the file would kill the process with SIGBUS.
    expected, actual = pages * page_size, path.stat().st_size
    if actual < expected:
        environment.close()
        raise PackedFileError(
            f"{path}: cut short, {actual} of {expected} bytes are there; copy the file again or pack again"
        )
    return environment
