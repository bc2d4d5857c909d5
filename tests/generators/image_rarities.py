"""Kinds of image that no library here writes, made by hand."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Of each pass the first row and column, and the steps down and across."""


def interlaced_png(pixels: Pixels) -> bytes:
    """RGB (H, W, 3) in the seven passes of Adam7, each with filter 0."""
    rows = b"".join(
        b"\0" + row.tobytes()
        for y, x, down, across in ADAM7
        for row in pixels[y::down, x::across]
        if row.size
    )
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 1)
    return png_file((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def deep_png(values: NDArray[np.uint16]) -> bytes:
    """RGB (H, W, 3) in 16 bits a channel."""
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png_file((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def png_file(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def run_length_bmp(grey: Pixels) -> bytes:
    """Grey (H, W) in RLE8, every pixel a run of one."""
    rows = (bytes(byte for value in row for byte in (1, value)) for row in grey[::-1])
    body = b"\0\0".join(rows) + b"\0\1"
    palette = b"".join(bytes((value, value, value, 0)) for value in range(256))
    height, width = grey.shape
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 2835, 2835, 256, 0)
    return bmp_file(head + palette, body)


def old_bmp(pixels: Pixels) -> bytes:
    """RGB (H, W, 3) with the 12-byte header of OS/2."""
    height, width, _ = pixels.shape
    padding = bytes(-3 * width % 4)
    body = b"".join(row[:, ::-1].tobytes() + padding for row in pixels[::-1])
    return bmp_file(struct.pack("<IHHHH", 12, width, height, 1, 24), body)


def bmp_file(head: bytes, body: bytes) -> bytes:
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + body
