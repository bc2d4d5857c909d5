"""InsightFace's training records (.rec), read without MXNet."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.lists.image_list import LARGEST_LABEL
from face_analysis.datasets.lmdb.format import column_of
from face_analysis.datasets.record_cache import kept
from face_analysis.datasets.record_files import RecordFile, read_index, require_fit
from face_analysis.errors import EmptyDataError
from face_analysis.zoo.card import RECOGNITION

log = logging.getLogger(__name__)
_HEADER = struct.Struct("<IfQQ")
"""Flag, label, and two ids; a flag over 0 is how many float32 labels follow, in place of the one here."""


class RecordSource:
    """The images of a RecordIO file, in the order of their keys in the `.idx` beside it.

    Without an index the file is walked through once. What was read of a large file, `kept` has for the next
    start. Record 0 of a face set holds two numbers and no image: the range of the images, or as InsightFace
    packs them that of the records of people behind the images, which then are those from 1 up to there. Where
    record 0 is an image, all records are. `attribute` (race, gender, age or recognition) names the records'
    label. Raises MissingFileError, EmptyDataError, and PackedFileError for a file or index that is cut short,
    damaged or in another format.
    """

    def __init__(self, path: Path, attribute: str | None = None) -> None:
        self.records = RecordFile(path)
        self._column = column_of(attribute or RECOGNITION)
        self._labels: NDArray[np.int64] | None = None
        self._index = path.with_suffix(".idx")
        self._keys, self._offsets = kept(path, self._index, "index", self._read_index).reshape(2, -1)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def labels(self) -> dict[str, NDArray[np.int64]]:
        """The records' label, the first where there are several; `class` unless an attribute was named.

        Only the records' headers are read, once; at the next start of a large file not even these. Raises
        PackedFileError for a label that is no integer.
        """
        if self._labels is None:
            self._labels = kept(self.origin, self._index, "labels", self._read_labels)
        return {self._column: self._labels}

    @property
    def strings(self) -> dict[str, list[str]]:
        """None: such files hold no text."""
        return {}

    @property
    def origin(self) -> Path:
        """The file's path."""
        return self.records.path

    def name(self, index: int) -> str:
        """`file[key]`: records have no names."""
        return f"{self.origin.name}[{self._keys[index]}]"

    def read(self, index: int) -> bytes:
        """The encoded image; raises PackedFileError where the file is damaged."""
        offset = int(self._offsets[index])
        payload = self.records.payload(offset)
        body = self._body(offset, payload)
        if body > len(payload):
            raise self.records.damaged(offset, "the record is shorter than the labels it claims")
        return payload[body:]

    def read_mask(self, index: int) -> bytes | None:
        """None: records hold no masks."""
        return None

    def _read_index(self) -> NDArray[np.int64]:
        """The keys of the images, then their offsets."""
        if self._index.exists():
            keys, offsets = read_index(self._index, self.records)
            require_fit(self._index, self.records, offsets)
        else:
            log.info("%s is not there: %s is read through for its records", self._index, self.origin.name)
            offsets = np.fromiter(self.records.offsets(), np.int64)
            keys = np.arange(len(offsets))
        return np.concatenate(self._of_images(keys, offsets))

    def _read_labels(self) -> NDArray[np.int64]:
        return np.fromiter(map(self._label, self._offsets.tolist()), np.int64, len(self))

    def _of_images(
        self, keys: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        bounds = self._bounds(int(offsets[0])) if keys[0] == 0 else None
        if bounds is None:
            return keys, offsets
        # Not the first one of the range: float32 does not hold numbers over 16,777,216 exactly.
        (middle,) = offsets[keys == sum(bounds) // 2].tolist() or [None]
        if middle is None or self._bounds(middle) is not None:
            bounds = (1, bounds[0])
        chosen = (keys >= bounds[0]) & (keys < bounds[1])
        if not chosen.any():
            raise EmptyDataError(
                f"{self.origin}: record 0 says that images are the records from {bounds[0]} up to "
                f"{bounds[1]}, and none is there; copy the file and its .idx again"
            )
        return keys[chosen], offsets[chosen]

    def _bounds(self, offset: int) -> tuple[int, int] | None:
        """The two numbers of a record that holds no image; None for another record."""
        size = _HEADER.size + 8
        head = self.records.head(offset, size + 1)
        if len(head) != size or _HEADER.unpack_from(head)[0] != 2:
            return None
        first, end = struct.unpack_from("<2f", head, _HEADER.size)
        return self._integer(offset, first), self._integer(offset, end)

    def _label(self, offset: int) -> int:
        head = self.records.head(offset, _HEADER.size + 4)
        body = self._body(offset, head)
        label = _HEADER.unpack_from(head)[1]
        if body > _HEADER.size:
            (label,) = struct.unpack_from("<f", head, _HEADER.size)
        return self._integer(offset, label)

    def _body(self, offset: int, payload: bytes) -> int:
        """Where the image begins in a payload, of which at least the header and one label are given."""
        flag = _HEADER.unpack_from(payload)[0] if len(payload) >= _HEADER.size else 0
        if len(payload) < _HEADER.size + 4 * min(flag, 1):
            raise self.records.damaged(offset, "the record is shorter than its header")
        return _HEADER.size + 4 * int(flag)

    def _integer(self, offset: int, number: float) -> int:
        if not abs(number) <= LARGEST_LABEL or number != int(number):
            raise self.records.damaged(offset, f"the label {number} is no class")
        return int(number)
