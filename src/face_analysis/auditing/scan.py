"""One pass over the images: what audits need to know of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from face_analysis.auditing.images import AuditedImages
from face_analysis.auditing.similarity import SIZE, copy_descriptor
from face_analysis.errors import UnreadableImageError
from face_analysis.images.align import align_chip
from face_analysis.images.boxes import wanted
from face_analysis.images.decode import decode
from face_analysis.images.detect import FaceDetector
from face_analysis.inference.embedder import Embedder
from face_analysis.parallel import in_order
from face_analysis.types import Image

AHEAD = 256
NOT_COUNTED = -1
HASH = np.dtype("S20")


@dataclass(frozen=True)
class ScanSettings:
    """What is looked for beside copies: `detector` counts faces, and `embedder` describes the middle one."""

    detector: FaceDetector | None = None
    embedder: Embedder | None = None


@dataclass(frozen=True)
class Scan:
    """N images: hashes (N,) of their bytes and pixels, copy descriptors (N, SIZE), and how many faces each
    has (N,), -1 where that was not looked for. `reasons` says why a row could not be read; its hashes are
    empty. `embeddings` (N, D) describe people, if they were asked for; zeros where there is no face.
    """

    file_hashes: NDArray[np.bytes_]
    pixel_hashes: NDArray[np.bytes_]
    descriptors: NDArray[np.float32]
    faces: NDArray[np.int64]
    embeddings: NDArray[np.float32] | None = None
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def faces_counted(self) -> bool:
        """Whether faces were looked for at all."""
        return bool((self.faces != NOT_COUNTED).any())

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Which rows (N,) could be read."""
        readable = np.ones(len(self.faces), np.bool_)
        readable[list(self.reasons)] = False
        return readable


def scan(images: AuditedImages, settings: ScanSettings, workers: int) -> Iterator[Scan]:
    """Read every image once, in threads, giving the scan after each; the last one is complete."""
    count = len(images)
    size = settings.embedder.size if settings.embedder else 0
    found = Scan(
        np.zeros(count, HASH),
        np.zeros(count, HASH),
        np.zeros((count, SIZE), np.float32),
        np.full(count, NOT_COUNTED, np.int64),
        np.zeros((count, size), np.float32) if size else None,
    )
    seen = in_order(partial(_see, images, settings), range(count), workers, AHEAD)
    waiting: list[tuple[int, Image]] = []
    for row, one in enumerate(seen):
        if one.reason:
            found.reasons[row] = one.reason
        found.file_hashes[row], found.pixel_hashes[row] = one.file_hash, one.pixel_hash
        found.descriptors[row] = one.descriptor
        found.faces[row] = one.faces
        if one.chip is not None:
            waiting.append((row, one.chip))
        if settings.embedder and waiting and (len(waiting) == AHEAD or row == count - 1):
            assert found.embeddings is not None
            rows = [place for place, _ in waiting]
            found.embeddings[rows] = settings.embedder.embed(np.stack([chip for _, chip in waiting]))
            waiting = []
        yield found


class _Seen(NamedTuple):
    file_hash: bytes = b""
    pixel_hash: bytes = b""
    descriptor: NDArray[np.float32] | float = 0.0
    faces: int = NOT_COUNTED
    chip: Image | None = None
    reason: str = ""


def _see(images: AuditedImages, settings: ScanSettings, row: int) -> _Seen:
    name = images.path(row)
    try:
        data = images.read(row)
        pixels = decode(data, name)
    except UnreadableImageError as error:
        return _Seen(reason=str(error))
    seen = _Seen(
        _digest(data), _digest(repr(pixels.shape).encode() + pixels.tobytes()), copy_descriptor(pixels)
    )
    if settings.detector is None:
        return seen
    faces = settings.detector.detect(pixels)
    chips = [align_chip(pixels, face.landmarks) for face in wanted(faces, "centre", pixels.shape)]
    return seen._replace(faces=len(faces), chip=chips[0] if chips and settings.embedder else None)


def _digest(data: bytes) -> bytes:
    """Twenty bytes of SHA-256 in an array of fixed size, which must not end in zero bytes."""
    return hashlib.sha256(data).digest()[:19] + b"\x01"
