"""Writes packed files: LMDBs that the original system reads too, with a label array and a checksum."""

from __future__ import annotations

import fcntl
import os
import shutil
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import lmdb
import numpy as np

from face_analysis.datasets import lmdb_format as fmt
from face_analysis.errors import EmptyDataError, UsageError, WriteError

BATCH_RECORDS = 2048
BATCH_BYTES = 32 * 2**20
FIRST_MAP_SIZE = 64 * 2**20


class LmdbWriter:
    """Context manager; the target appears, whole, when the block ends without an error.

    Until then everything goes to a hidden name beside the target; a file that was at the target stays until
    it is replaced. What a killed or interrupted run left there is taken up with `resume`, after the inputs
    that count as `done`, and ends with the bytes of an undisturbed run; an error removes it. `identity` says
    what is packed: a file begun with another one is refused with UsageError.

    Raises WriteError where the disk is full, the folder read-only, or another process writes the same file,
    and EmptyDataError when nothing was added.
    """

    def __init__(
        self, path: Path, attribute: str, columns: Sequence[str], identity: str = "", *, resume: bool = False
    ) -> None:
        """`attribute` (race, gender, age or recognition) names the column that is each record's integer."""
        self.path = path
        self.done = 0
        self.failed: dict[int, str] = {}
        self._attribute = attribute
        self._identity = identity
        self._resume = resume
        self._labels = {name: array("q") for name in columns}
        self._record_column = self._labels[fmt.column_of(attribute)]
        self._paths: list[str] = []
        self._batch: list[tuple[bytes, bytes]] = []
        self._batch_bytes = 0
        self._hash = fmt.RecordHash()
        self._unfinished = path.with_name(f".{path.name}.unfinished")
        self._map_size = FIRST_MAP_SIZE
        self._env: lmdb.Environment | None = None
        self._lock = -1

    def __enter__(self) -> LmdbWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self._unfinished)
            if self._resume:
                self._take_up()
            if not self.done:
                os.truncate(self._unfinished, 0)
                self._open()
        except (OSError, lmdb.Error) as error:
            self._close()
            raise WriteError(self.path, error if isinstance(error, OSError) else str(error)) from error
        except UsageError:
            self._close()
            raise
        return self

    def recall(self, name: str, labels: Mapping[str, int]) -> None:
        """Take in a record that an earlier run wrote: for each of its inputs in order but the failed ones."""
        assert self._env is not None
        with self._env.begin() as transaction:
            record = transaction.get(self._note(name, labels))
        assert record is not None
        self._hash.update(record)

    def add(self, name: str, image: bytes, labels: Mapping[str, int], mask: bytes | None = None) -> None:
        """Append a record: encoded image, a label for each column (-1 unknown), encoded mask if any."""
        key = self._note(name, labels)
        label = self._record_column[-1]
        record = fmt.encode([image, label] if mask is None else [image, label, mask])
        self._hash.update(record)
        self._batch.append((key, record))
        self._batch_bytes += len(record)
        self.done += 1
        if len(self._batch) >= BATCH_RECORDS or self._batch_bytes >= BATCH_BYTES:
            self._flush()

    def fail(self, reason: str) -> None:
        """Note that the next input gives no record."""
        self.failed[self.done] = reason
        self.done += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kept = False
        try:
            if error is None:
                self._finish()
            elif self._env is not None and not isinstance(error, Exception):
                kept = self._env.info()["last_txnid"] > 0
        finally:
            self._close()
            if not kept:
                with suppress(OSError):
                    self._unfinished.unlink(missing_ok=True)

    def _note(self, name: str, labels: Mapping[str, int]) -> bytes:
        """Keep a record's name and labels; its key."""
        for column, values in self._labels.items():
            values.append(labels[column])
        self._paths.append(name)
        return fmt.record_key(len(self._paths) - 1)

    def _open(self) -> None:
        # The lock on the file keeps other writers away; one sync at the end is enough.
        self._env = lmdb.open(
            os.fspath(self._unfinished), subdir=False, lock=False, sync=False, map_size=self._map_size
        )

    def _take_up(self) -> None:
        if self._unfinished.stat().st_size == 0:
            return
        self._open()
        assert self._env is not None
        with self._env.begin() as transaction:
            packed = transaction.get(fmt.PROGRESS)
        state: dict[str, Any] = fmt.decode_value(packed) if packed else {}
        self._env.close()
        if not state:
            return
        if state["identity"] != self._identity:
            raise UsageError(
                f"{self.path}: the pack to resume was begun with other images, labels or options; give the "
                "same, or start anew without --resume"
            )
        self.done, self.failed = state["done"], dict(state["failed"])
        self._map_size = state["map_size"]  # part of the file's first pages
        self._open()

    def _progress(self) -> bytes:
        return fmt.encode(
            {
                "identity": self._identity,
                "done": self.done,
                "failed": list(self.failed.items()),
                "map_size": self._map_size,
            }
        )

    def _finish(self) -> None:
        if not self._paths:
            raise EmptyDataError(f"{self.path}: no image is left to pack; nothing was written")
        labels = {name: np.array(values, np.int64) for name, values in self._labels.items()}
        largest = int(labels[fmt.column_of(self._attribute)].max())
        count = len(self._paths)
        extra = {
            fmt.LABELS: fmt.encode_labels(labels),
            fmt.PATHS: fmt.encode(self._paths),
            fmt.ATTRIBUTE: fmt.encode(self._attribute),
        }
        for value in extra.values():
            self._hash.update(value)
        extra[fmt.CHECKSUM] = fmt.encode(self._hash.hexdigest())
        extra[fmt.LENGTH] = fmt.encode(count)
        extra[fmt.KEYS] = fmt.encode([fmt.record_key(row) for row in range(count)])
        extra[fmt.CLASS_COUNT] = fmt.encode(largest if self._attribute == "age" else largest + 1)
        self._batch.extend(extra.items())
        self._flush(last=True)
        self._publish()

    def _flush(self, *, last: bool = False) -> None:
        """Write the batch in one transaction, growing the map until it fits."""
        assert self._env is not None
        try:
            while True:
                try:
                    with self._env.begin(write=True) as transaction:
                        for key, value in self._batch:
                            transaction.put(key, value)
                        if last:
                            transaction.delete(fmt.PROGRESS)
                        else:
                            transaction.put(fmt.PROGRESS, self._progress())
                    break
                except lmdb.MapFullError:
                    self._map_size *= 2
                    self._env.set_mapsize(self._map_size)
            # LMDB fills pages up with what its buffers held before; those of a new environment hold nothing,
            # so that the bytes depend on the transactions alone.
            self._env.close()
            self._open()
        except lmdb.Error as error:
            raise self._failure(error) from error
        self._batch.clear()
        self._batch_bytes = 0

    def _publish(self) -> None:
        assert self._env is not None
        try:
            self._env.sync(True)
            self._env.close()
            _fsync(self._unfinished)
            self._unfinished.replace(self.path)
            _fsync(self.path.parent)
        except OSError as error:
            raise WriteError(self.path, error) from error
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _failure(self, error: lmdb.Error) -> WriteError:
        # A write cut short by a full disk reaches LMDB as a plain input/output error.
        free = shutil.disk_usage(self._unfinished.parent).free
        full = free < max(self._batch_bytes, 2**20)
        return WriteError(self.path, f"no space left, {free} bytes free ({error})" if full else str(error))


def _locked(path: Path) -> int:
    """A descriptor of the file, made if absent, that no other process holds. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OSError(0, "another process is writing it") from None
    return descriptor


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
