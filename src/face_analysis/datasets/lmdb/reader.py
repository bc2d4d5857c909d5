"""Reads packed files: those written here and those of the original system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from face_analysis.datasets.lists.texts import Texts
from face_analysis.datasets.lmdb import format as fmt
from face_analysis.datasets.lmdb.environment import open_environment
from face_analysis.errors import PackedFileError

_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


class LmdbReader:
    """Random access to a packed file; may be pickled, forked and shared by threads.

    Opening reads the count and the order of the keys; labels and names are read when first asked for. Raises
    MissingFileError, and PackedFileError for a file that is cut short, damaged or in another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._environment: lmdb.Environment | None = None
        self._process = -1
        self._labels: fmt.Labels | None = None
        self._paths: Texts | None = None
        self._keys: list[bytes] | None = None
        self._count, self.class_count, self.attribute = self._read_header()

    def __len__(self) -> int:
        return self._count

    @property
    def labels(self) -> fmt.Labels:
        """Label columns, int64 (N,) each, -1 unknown; for a file of the original the one column `label`."""
        if self._labels is None:
            packed = self._get(fmt.LABELS)
            self._labels = self._labels_of_records() if packed is None else self._decoded_labels(packed)
        return self._labels

    def name(self, row: int) -> str:
        """What the image was called in the list it was packed from; `file[row]` where it does not say."""
        if self._paths is None:
            packed = self._get(fmt.PATHS)
            paths = self._value(fmt.PATHS, packed, list) if packed is not None else []
            if packed is not None and len(paths) != self._count:
                raise self._damaged("__paths__ does not fit __len__")
            if not all(isinstance(path, str) for path in paths):
                raise self._damaged("__paths__ holds something that is no text")
            self._paths = Texts(paths)
        return self._paths[row] if self._paths else f"{self.path.name}[{row}]"

    def record(self, row: int) -> tuple[bytes, int, bytes | None]:
        """The encoded image, the record's integer, and the encoded mask or None."""
        key = self._key(row)
        packed = self._get(key)
        if packed is None:
            raise self._damaged(f"record {key!r} is missing")
        try:
            image, label, *mask = fmt.decode_value(packed, raw=True)
            if not all(isinstance(one, bytes) for one in (image, *mask)):
                raise TypeError("the image or mask is not bytes")
            if int(label).bit_length() > 63:
                raise OverflowError("the label is too large")
            return image, int(label), mask[0] if mask else None
        except _MALFORMED as error:
            raise self._damaged(f"record {key!r} is not [image, label] ({error})") from error

    def verify(self) -> None:
        """Read everything and compare it with the checksum.

        Raises PackedFileError where they differ, or where the file holds none.
        """
        stored = self._get(fmt.CHECKSUM)
        if stored is None:
            raise PackedFileError(f"{self.path}: holds no checksum; pack the images again to get one")
        actual = fmt.RecordHash()
        for key in (*map(self._key, range(self._count)), fmt.LABELS, fmt.PATHS, fmt.ATTRIBUTE):
            value = self._get(key)
            if value is None:
                raise self._damaged(f"{key!r} is missing")
            actual.update(value)
        if self._value(fmt.CHECKSUM, stored, str) != actual.hexdigest():
            raise self._damaged("the checksum does not match")

    def _read_header(self) -> tuple[int, int | None, str | None]:
        packed = {name: self._get(name) for name in (fmt.LENGTH, fmt.KEYS, fmt.CLASS_COUNT, fmt.ATTRIBUTE)}
        length, keys, classes, attribute = packed.values()
        if length is None or keys is None:
            raise PackedFileError(
                f"{self.path}: an LMDB without __len__ and __keys__, so not of packed images; "
                "give the file that `pack` wrote"
            )
        count = self._value(fmt.LENGTH, length, int)
        order = self._value(fmt.KEYS, keys, list)
        if len(order) != count or not all(isinstance(key, bytes) for key in order):
            raise self._damaged(f"__keys__ lists {len(order)} records and __len__ says {count}")
        if any(key != fmt.record_key(row) for row, key in enumerate(order)):
            self._keys = order
        return (
            count,
            None if classes is None else self._value(fmt.CLASS_COUNT, classes, int),
            None if attribute is None else self._value(fmt.ATTRIBUTE, attribute, str),
        )

    def _decoded_labels(self, packed: bytes) -> fmt.Labels:
        try:
            labels = fmt.decode_labels(packed, self._count)
            if not all(isinstance(name, str) for name in labels):
                raise TypeError("a column's name is no text")
            return labels
        except _MALFORMED as error:
            raise self._damaged(f"__labels__ cannot be read ({error})") from error

    def _labels_of_records(self) -> fmt.Labels:
        labels = np.fromiter((self.record(row)[1] for row in range(self._count)), np.int64, self._count)
        return {fmt.UNNAMED: labels}

    def _key(self, row: int) -> bytes:
        if not 0 <= row < self._count:
            raise IndexError(f"row {row} of {self._count}")
        return fmt.record_key(row) if self._keys is None else self._keys[row]

    def _value(self, key: bytes, packed: bytes, kind: type) -> Any:
        try:
            value = fmt.decode_value(packed, raw=key == fmt.KEYS)
        except _MALFORMED as error:
            raise self._damaged(f"{key!r} cannot be read ({error})") from error
        if not isinstance(value, kind):
            raise self._damaged(f"{key!r} holds {type(value).__name__}, not {kind.__name__}")
        return value

    def _get(self, key: bytes) -> bytes | None:
        if self._process != os.getpid() or self._environment is None:
            self._environment = open_environment(self.path)
            self._process = os.getpid()
        try:
            with self._environment.begin() as transaction:
                value: bytes | None = transaction.get(key)
                return value
        except lmdb.Error as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> PackedFileError:
        return PackedFileError(
            f"{self.path}: damaged, {reason}; copy the file again or pack the images again"
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_environment": None, "_process": -1}
