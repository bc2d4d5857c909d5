"""What a stopped run left under the hidden name of a packed file, and the lock on it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Any

import lmdb

from face_analysis.datasets.lmdb import format as fmt
from face_analysis.datasets.lmdb.environment import is_lmdb, opened
from face_analysis.errors import OutputError, PackedFileError

KEYS = {"facts", "done", "failed", "map_size"}
"""Of the state that each transaction writes."""


def locked(path: Path) -> int:
    """A descriptor of the file at `path`, made if absent, that no other process holds.

    Raises OSError, and OutputError for a link and for what is no regular file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise OutputError(f"{path} is a link or folder: remove it, or choose another output") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OutputError(f"{path} is no regular file: remove it, or choose another output")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.lstat()):  # the last holder gave it its name
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        raise OSError(0, "another process is writing it") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def left_in(hidden: Path) -> dict[str, Any]:
    """The state of the last transaction in the hidden file; {} where there is none, or the work was done.

    Raises OutputError for a file that is not what a stopped run left.
    """
    if hidden.stat().st_size == 0:
        return {}
    try:
        if not is_lmdb(hidden):
            raise PackedFileError("no LMDB")
        environment = opened(hidden)
        with environment.begin() as transaction:
            packed, done = transaction.get(fmt.PROGRESS), transaction.get(fmt.CHECKSUM)
        begun = environment.info()["last_txnid"] > 0
        environment.close()
        state = dict(fmt.decode_value(packed)) if packed else {}
        if begun and not done and not state.keys() >= KEYS:
            raise PackedFileError("an LMDB of something else")
    except (PackedFileError, lmdb.Error, ValueError, TypeError) as error:
        raise OutputError(
            f"{hidden} is not what a stopped `pack` leaves: remove it, or choose another output"
        ) from error
    return state
