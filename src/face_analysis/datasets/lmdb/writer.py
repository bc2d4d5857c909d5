"""Writes packed files: LMDBs that the original system reads too, with a label array and a checksum."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from face_analysis.datasets.lmdb import format as fmt
from face_analysis.datasets.lmdb.unfinished import UnfinishedLmdb
from face_analysis.errors import DeadProcessError, EmptyDataError, UsageError
from face_analysis.files import first_reasons
from face_analysis.journal import check_same_run

BATCH_RECORDS = 2048
BATCH_BYTES = 32 * 2**20


class LmdbWriter:
    """Context manager; the target appears, whole, when the block ends without an error.

    Until then everything goes to a hidden name beside the target; a file that was at the target stays until
    it is replaced. What a killed or interrupted run left there is taken up with `resume`, after the inputs
    that count as `done`, and ends with the bytes of an undisturbed run; an error other than DeadProcessError
    removes it. `facts` say what is packed, by name, in what MessagePack can hold: a file begun with others is
    refused with UsageError, which names those that differ.

    Raises WriteError where the disk is full, the folder read-only, or another process writes the same file,
    OutputError where something else is in the hidden file's place, and EmptyDataError when nothing was added.
    """

    def __init__(
        self,
        path: Path,
        attribute: str,
        columns: Sequence[str],
        facts: Mapping[str, Any] | None = None,
        *,
        resume: bool = False,
    ) -> None:
        """`attribute` (race, gender, age or recognition) names the column that is each record's integer."""
        self.path = path
        self.done = 0
        self.failed: dict[int, str] = {}
        self._attribute = attribute
        self._facts = {"attribute": attribute, **(facts or {})}
        self._resume = resume
        self._labels = {name: array("q") for name in columns}
        self._record_column = self._labels[fmt.column_of(attribute)]
        self._paths: list[str] = []
        self._batch: list[tuple[bytes, bytes]] = []
        self._batch_bytes = 0
        self._hash = fmt.RecordHash()
        self._file = UnfinishedLmdb(path)

    def __enter__(self) -> LmdbWriter:
        state = self._file.open(resume=self._resume)
        if state:
            self._check(state["facts"])
            self.done, self.failed = state["done"], dict(state["failed"])
        return self

    def _check(self, begun: Mapping[str, Any]) -> None:
        """Raises UsageError where the file was begun with other facts."""
        try:
            check_same_run(begun, self._facts, self.path)
        except UsageError:
            self._file.close(keep=True)
            raise

    def recall(self, name: str, labels: Mapping[str, int]) -> None:
        """Take in a record that an earlier run wrote: for each of its inputs in order but the failed ones."""
        self._hash.update(self._file.get(self._note(name, labels)))

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
            state = {"facts": self._facts, "done": self.done, "failed": list(self.failed.items())}
            self._file.put(self._batch, state)
            self._batch, self._batch_bytes = [], 0

    def fail(self, reason: str) -> None:
        """Note that the next input gives no record."""
        self.failed[self.done] = reason
        self.done += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            killed = isinstance(error, DeadProcessError) or not isinstance(error, Exception)
            self._file.close(keep=error is not None and killed)

    def _note(self, name: str, labels: Mapping[str, int]) -> bytes:
        """Keep a record's name and labels; its key."""
        for column, values in self._labels.items():
            values.append(labels[column])
        self._paths.append(name)
        return fmt.record_key(len(self._paths) - 1)

    def _finish(self) -> None:
        if not self._paths:
            reasons = first_reasons(self.failed.values())
            raise EmptyDataError(f"{self.path}: no image is left to pack; nothing was written{reasons}")
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
        self._file.put([*self._batch, *extra.items()], None)
        self._file.publish()
