"""A packed file while it is written: under a hidden name, with its own progress in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lmdb

from face_analysis.datasets.lmdb import format as fmt
from face_analysis.datasets.lmdb.leftover import left_in, locked
from face_analysis.errors import WriteError
from face_analysis.files import hidden_name

FIRST_MAP_SIZE = 64 * 2**20


def unfinished_path(path: Path) -> Path:
    """Where the packed file `path` is while it is written."""
    return path.with_name(hidden_name(path.name, "unfinished"))


class UnfinishedLmdb:
    """The hidden file beside `path`, which one process at a time may write, and which becomes `path`.

    What it holds follows from the transactions alone, to the last byte, however often the process was killed
    between them. Every method raises WriteError for what the disk refuses. A link, or a file that is not what
    a stopped run left, is neither followed nor changed nor removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hidden = unfinished_path(path)
        self._map_size = FIRST_MAP_SIZE
        self._env: lmdb.Environment | None = None
        self._lock = -1

    def open(self, *, resume: bool) -> dict[str, Any]:
        """Open the file for writing; with `resume` the state of its last transaction is given, if it has one.

        Otherwise it is emptied, and the state is {}. Raises OutputError where something else is in its place.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = locked(self._hidden)
        except OSError as error:
            raise WriteError(self.path, error) from error
        try:
            state = left_in(self._hidden)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        try:
            if state and resume:
                self._map_size = state["map_size"]  # part of the file's first pages
            else:
                os.truncate(lock, 0)
            self._open()
        except (OSError, lmdb.Error) as error:
            self.close(keep=True)
            raise WriteError(self.path, error if isinstance(error, OSError) else str(error)) from error
        return state if resume else {}

    def get(self, key: bytes) -> bytes:
        """A value that a transaction wrote."""
        assert self._env is not None
        with self._env.begin() as transaction:
            value = transaction.get(key)
        assert value is not None
        return value

    def put(self, items: Sequence[tuple[bytes, bytes]], state: dict[str, Any] | None) -> None:
        """Write keys and values in one transaction, and the state with them; None is the end of the work."""
        assert self._env is not None
        try:
            while not self._put(self._env, items, state):
                self._map_size *= 2
                self._env.set_mapsize(self._map_size)
            # LMDB fills pages up with what its buffers held before; those of a new environment hold nothing.
            self._env.close()
            self._open()
        except lmdb.Error as error:
            raise self._failure(error, sum(len(value) for _, value in items)) from error

    def publish(self) -> None:
        """Sync the file and give it its name."""
        assert self._env is not None
        try:
            self._env.sync(True)
            self._env.close()
            _fsync(self._hidden)
            self._hidden.replace(self.path)
            _fsync(self.path.parent)
        except OSError as error:
            raise WriteError(self.path, error) from error
        except lmdb.Error as error:
            raise self._failure(error) from error

    def close(self, *, keep: bool) -> None:
        """Let go of the file; without `keep`, or with nothing in it, it is removed."""
        begun = False
        if self._env is not None:
            with suppress(lmdb.Error):  # published
                begun = self._env.info()["last_txnid"] > 0
            self._env.close()
            self._env = None
        if self._lock >= 0:
            if not keep or not begun:
                with suppress(OSError):
                    self._hidden.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def _open(self) -> None:
        # The lock on the file keeps other writers away; one sync at the end is enough.
        self._env = lmdb.open(
            os.fsencode(self._hidden), subdir=False, lock=False, sync=False, map_size=self._map_size
        )

    def _put(
        self,
        environment: lmdb.Environment,
        items: Sequence[tuple[bytes, bytes]],
        state: dict[str, Any] | None,
    ) -> bool:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in items:
                    transaction.put(key, value)
                if state is None:
                    transaction.delete(fmt.PROGRESS)
                else:
                    transaction.put(fmt.PROGRESS, fmt.encode({**state, "map_size": self._map_size}))
        except lmdb.MapFullError:
            return False
        return True

    def _failure(self, error: lmdb.Error, size: int = 0) -> WriteError:
        # A write cut short by a full disk reaches LMDB as a plain input/output error.
        free = shutil.disk_usage(self.path.parent).free
        full = free < max(size, 2**20)
        return WriteError(self.path, f"no space left, {free} bytes free ({error})" if full else str(error))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
