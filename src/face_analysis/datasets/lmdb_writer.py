"""Writes packed files: LMDBs that the original system reads too, with a label array and a checksum."""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import lmdb
import numpy as np

from face_analysis.datasets import lmdb_format as fmt
from face_analysis.errors import EmptyDataError, WriteError

BATCH_RECORDS = 2048
BATCH_BYTES = 32 * 2**20
FIRST_MAP_SIZE = 64 * 2**20


class LmdbWriter:
    """Context manager; the target appears, whole, when the block ends without an error.

    Until then everything goes to a temporary name beside the target, which is removed on failure; a file that
    was at the target stays until it is replaced. Raises WriteError where the disk is full or the folder
    read-only, and EmptyDataError when nothing was added.
    """

    def __init__(self, path: Path, attribute: str, columns: Sequence[str]) -> None:
        """`attribute` (race, gender, age or recognition) names the column that is each record's integer."""
        self.path = path
        self._attribute = attribute
        self._labels = {name: array("q") for name in columns}
        self._record_column = self._labels[fmt.column_of(attribute)]
        self._paths: list[str] = []
        self._batch: list[tuple[bytes, bytes]] = []
        self._batch_bytes = 0
        self._hash = fmt.RecordHash()
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._map_size = FIRST_MAP_SIZE
        self._env: lmdb.Environment | None = None

    def __enter__(self) -> LmdbWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.unlink(missing_ok=True)
            # Nobody else knows the temporary name, so no lock file; one sync at the end is enough.
            self._env = lmdb.open(
                os.fspath(self._temporary), subdir=False, lock=False, sync=False, map_size=self._map_size
            )
        except (OSError, lmdb.Error) as error:
            self._remove()
            raise WriteError(self.path, error if isinstance(error, OSError) else str(error)) from error
        return self

    def add(self, name: str, image: bytes, labels: Mapping[str, int], mask: bytes | None = None) -> None:
        """Append a record: encoded image, a label for each column (-1 unknown), encoded mask if any."""
        row = len(self._paths)
        for column, values in self._labels.items():
            values.append(labels[column])
        self._paths.append(name)
        label = self._record_column[-1]
        record = fmt.encode([image, label] if mask is None else [image, label, mask])
        self._hash.update(record)
        self._batch.append((fmt.record_key(row), record))
        self._batch_bytes += len(record)
        if len(self._batch) >= BATCH_RECORDS or self._batch_bytes >= BATCH_BYTES:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._remove()

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
        self._flush()
        self._publish()

    def _flush(self) -> None:
        """Write the batch in one transaction, growing the map until it fits."""
        assert self._env is not None
        try:
            while True:
                try:
                    with self._env.begin(write=True) as transaction:
                        for key, value in self._batch:
                            transaction.put(key, value)
                    break
                except lmdb.MapFullError:
                    self._map_size *= 2
                    self._env.set_mapsize(self._map_size)
        except lmdb.Error as error:
            raise self._failure(error) from error
        self._batch.clear()
        self._batch_bytes = 0

    def _publish(self) -> None:
        assert self._env is not None
        try:
            self._env.sync(True)
            self._env.close()
            _fsync(self._temporary)
            self._temporary.replace(self.path)
            _fsync(self.path.parent)
        except OSError as error:
            raise WriteError(self.path, error) from error
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _remove(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _failure(self, error: lmdb.Error) -> WriteError:
        # A write cut short by a full disk reaches LMDB as a plain input/output error.
        free = shutil.disk_usage(self._temporary.parent).free
        full = free < max(self._batch_bytes, 2**20)
        return WriteError(self.path, f"no space left, {free} bytes free ({error})" if full else str(error))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
