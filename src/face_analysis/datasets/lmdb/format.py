"""The keys of a packed file and how their values are written; see docs/reference/formats.md.

`0`, `1`, ... hold msgpack [image bytes, integer label] or [image bytes, integer label, mask bytes].
`__len__`, `__keys__` and `__classnum__` are the original system's; the other keys are additions it does not
read.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.zoo.card import RECOGNITION

LENGTH = b"__len__"
KEYS = b"__keys__"
CLASS_COUNT = b"__classnum__"

LABELS = b"__labels__"
PATHS = b"__paths__"
ATTRIBUTE = b"__attribute__"
CHECKSUM = b"__checksum__"

PROGRESS = b"__progress__"
"""What an unfinished file has taken in so far; not in a finished one."""

UNNAMED = "label"
"""Column name of the records' integer in a file that does not say which attribute it is."""

Labels = dict[str, NDArray[np.int64]]


def column_of(attribute: str) -> str:
    """The label column behind an attribute: `class` for recognition, else its own name."""
    return "class" if attribute == RECOGNITION else attribute


def record_key(row: int) -> bytes:
    """The key of a row in files written here."""
    return b"%d" % row


def encode(value: Any) -> bytes:
    """Msgpack bytes of a value; names that are not UTF-8 keep their bytes."""
    import msgpack  # type: ignore[import-untyped]

    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")
    return packed


def decode_value(packed: bytes | memoryview, raw: bool = False) -> Any:
    """The value of msgpack bytes; with `raw`, text comes as bytes, as old writers stored bytes as text."""
    import msgpack

    return msgpack.unpackb(packed, raw=raw, strict_map_key=False, unicode_errors="surrogateescape")


def encode_labels(labels: Labels) -> bytes:
    """All columns in one value: their names, and int32 little-endian values, column after column."""
    data = b"".join(np.ascontiguousarray(column, "<i4").tobytes() for column in labels.values())
    return encode({"columns": list(labels), "data": data})


def decode_labels(packed: bytes | memoryview, count: int) -> Labels:
    """Columns of int64 (count,). Raises ValueError, TypeError or KeyError for a value of another form."""
    value = decode_value(packed)
    columns: list[str] = value["columns"]
    table = np.frombuffer(value["data"], "<i4").reshape(len(columns), count).astype(np.int64)
    return dict(zip(columns, table, strict=True))


class RecordHash:
    """SHA-256 over the records in row order, each after its length, then over labels, paths and attribute."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def update(self, value: bytes | memoryview) -> None:
        """Add one value."""
        self._sha.update(len(value).to_bytes(8, "little"))
        self._sha.update(value)

    def hexdigest(self) -> str:
        """The checksum as 64 hexadecimal digits."""
        return self._sha.hexdigest()
