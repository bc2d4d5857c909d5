"""Writes RecordIO files by the letter of the format, with nothing of the package."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

MAGIC = struct.pack("<I", 0xCED7230A)


def part(flag: int, data: bytes) -> bytes:
    """One part of a record: 0 the whole, 1 the first, 2 in the middle, 3 the last."""
    return MAGIC + struct.pack("<I", flag << 29 | len(data)) + data + bytes(-len(data) % 4)


def framed(payload: bytes) -> bytes:
    """A record, cut where the payload holds the magic number at a multiple of four."""
    pieces, begin = [], 0
    for at in range(0, len(payload) - 3, 4):
        if payload[at : at + 4] == MAGIC:
            pieces.append(payload[begin:at])
            begin = at + 4
    pieces.append(payload[begin:])
    if len(pieces) == 1:
        return part(0, payload)
    middle = b"".join(part(2, piece) for piece in pieces[1:-1])
    return part(1, pieces[0]) + middle + part(3, pieces[-1])


def labelled(image: bytes, *labels: float) -> bytes:
    """The payload of an image: one label in the header, or several behind it."""
    if len(labels) == 1:
        return struct.pack("<IfQQ", 0, labels[0], 7, 0) + image
    return struct.pack(f"<IfQQ{len(labels)}f", len(labels), 0.0, 7, 0, *labels) + image


def write_records(path: Path, payloads: Sequence[bytes], keys: Sequence[int] | None = None) -> list[int]:
    """Write the file and the index beside it; gives the offsets."""
    offsets, data = [], b""
    for payload in payloads:
        offsets.append(len(data))
        data += framed(payload)
    path.write_bytes(data)
    lines = [f"{key}\t{offset}\n" for key, offset in zip(keys or range(len(offsets)), offsets, strict=True)]
    path.with_suffix(".idx").write_text("".join(lines))
    return offsets
