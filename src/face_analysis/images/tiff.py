"""TIFF directories: the header of a TIFF image, and the EXIF data of other formats."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT, BITS, COMPRESSION, ORIENTATION, SAMPLES = 256, 257, 258, 259, 274, 277
STRIP_ROWS, TILE_WIDTH, TILE_ROWS = 278, 322, 323
PLACES = ((273, 279), (324, 325))
"""Where in the file the strips or the tiles begin, and how many bytes each has."""
MAX_BYTES = 10**9
"""What reading one image may take, its own bytes included."""
PACKINGS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
"""None, the three of fax, LZW, JPEG, Deflate, PackBits, old Deflate. Those left out are rare, and in the
readers of some of them lay most of libtiff's flaws."""
DEPTHS = {1, 4, 8, 16}
_NUMBERS = {3: "H", 4: "I"}


class Field(NamedTuple):
    """The first of a field's numbers, the byte at which it stands, how `struct` writes it, and how many."""

    value: int
    at: int
    form: str
    length: int


def fields(data: bytes) -> dict[int, Field | None]:
    """The first directory by tag; None stands for a value that is no whole number of 16 or 32 bits.

    Raises ValueError and struct.error for bytes that are no TIFF, and for a directory beyond their end.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise ValueError("not a TIFF directory")
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    found: dict[int, Field | None] = {}
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(order + "HHI", data, entry)
        number = _NUMBERS.get(kind)
        if number is None or not values:
            found.setdefault(tag, None)
            continue
        at = entry + 8
        if struct.calcsize(number) * values > 4:
            (at,) = struct.unpack_from(order + "I", data, at)
        (value,) = struct.unpack_from(order + number, data, at)
        # Where a tag comes twice the first counts, in libtiff too.
        found.setdefault(tag, Field(value, at, order + number, values))
    return found


def tiff_size(data: bytes, found: dict[int, Field | None]) -> tuple[int, int]:
    """Height and width of the image whose directory is `found`.

    Raises ValueError for a directory without them, a packing or depth that is not read, and strips or tiles
    so large that reading one would take more than MAX_BYTES.
    """
    numbers = {tag: field.value for tag, field in found.items() if field is not None}
    wrong = [tag for tag, field in found.items() if field is None and tag in _NEEDED]
    if wrong or not {WIDTH, HEIGHT} <= numbers.keys():
        raise ValueError("the TIFF directory is damaged; replace the file")
    height, width = numbers[HEIGHT], numbers[WIDTH]
    packing, depth = numbers.get(COMPRESSION, 1), numbers.get(BITS, 1)
    if packing not in PACKINGS or depth not in DEPTHS:
        raise ValueError(f"TIFF of compression {packing} and {depth} bits is not read; convert it to PNG")
    if TILE_WIDTH in numbers or TILE_ROWS in numbers:
        piece = numbers.get(TILE_WIDTH, 0) * numbers.get(TILE_ROWS, 0)
    else:
        piece = width * min(height, numbers.get(STRIP_ROWS, height))
    # Measured: 6 bytes a pixel of the image; for one strip or tile what it holds, and 4 bytes a pixel.
    taken = len(data) + 6 * height * width + piece * (4 + numbers.get(SAMPLES, 1) * depth / 8)
    if taken > MAX_BYTES:
        raise ValueError(
            f"TIFF of {width}x{height} pixels in pieces of {piece} would take {taken / 1e9:.1f} GB to read; "
            "make it smaller or save it as PNG"
        )
    for places in PLACES:
        _check_whole(data, *(found.get(tag) for tag in places))
    return height, width


def _check_whole(data: bytes, offsets: Field | None, counts: Field | None) -> None:
    """Raises ValueError where strips or tiles lie beyond the end: OpenCV would give black for them."""
    if offsets is None or counts is None:
        return
    begin, size = (
        np.frombuffer(data, np.dtype(field.form), field.length, field.at).astype(np.int64)
        for field in (offsets, counts)
    )
    if len(begin) != len(size) or (begin + size).max() > len(data):
        raise ValueError("the TIFF image is cut short; replace the file")


_NEEDED = {WIDTH, HEIGHT, BITS, COMPRESSION, ORIENTATION, SAMPLES, STRIP_ROWS, TILE_WIDTH, TILE_ROWS}
