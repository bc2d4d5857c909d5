"""JPEG, PNG, GIF and WebP files taken apart: what they claim, and the part of them that is the picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import simplejpeg

from face_analysis.images.orientation import exif_orientation

CUT = "cut short; replace the file"
MAX_SCANS = 100
"""Of a JPEG; encoders write about ten, and each passes over all pixels again."""


class Encoded(NamedTuple):
    """An image that is not decoded yet.

    `height` and `width` are as stored, before `orientation` (EXIF, 1 to 8) is applied. `body` is what the
    reader gets. `streams`: it is decoded row by row, without a second copy in memory.
    """

    height: int
    width: int
    body: bytes | bytearray
    orientation: int = 1
    streams: bool = False


def jpeg(data: bytes) -> Encoded:
    """Raises ValueError for a damaged header and for more than MAX_SCANS scans."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise ValueError(f"broken JPEG ({error}); replace the file") from error
    exif, frame, at = b"", 0, 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xD9, 0xDA):
        if data[at + 1] == 0xFF:  # a filler
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] == 0xE1 and not exif and data.startswith(b"Exif\0\0", at + 4):
            exif = data[at + 4 : at + 2 + length]
        if 0xC0 <= data[at + 1] <= 0xC2:
            frame = data[at + 1]
        at += 2 + length
    end = data.find(b"\xff\xd9", at)
    scans = data.count(b"\xff\xda", at, end if end >= 0 else len(data))
    if scans > MAX_SCANS:
        raise ValueError(f"{scans} scans in one JPEG are more than the limit of {MAX_SCANS}; save it anew")
    streams = scans == 1 and frame in (0xC0, 0xC1) and colours in ("Gray", "YCbCr", "RGB")
    return Encoded(height, width, data, exif_orientation(exif), streams)


def png(data: bytes) -> Encoded:
    """The picture proper: of an animation the image shown where there is none, no colour profile, no text.

    Raises ValueError for a file that is cut short.
    """
    kept, exif, packed = [memoryview(data)[:8]], b"", 0
    for kind, start, end in _png_chunks(data):
        if kind == b"eXIf":
            exif = data[start:end]
        elif not kind[0] & 0x20:  # an upper case letter first: no reader may skip it
            kept.append(memoryview(data)[start - 8 : end + 4])
            packed += (end - start) * (kind == b"IDAT")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 1)
    # Deflate packs no more than 1032 bytes into one.
    if height * width * depth * channels // 8 > 1032 * packed:
        raise ValueError(f"the PNG image is {CUT}")
    return Encoded(height, width, b"".join(kept), exif_orientation(exif))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what each chunk holds, IEND's included."""
    at, kind = 8, b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ValueError(f"the PNG image is {CUT}")
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise ValueError(f"the PNG image is {CUT}")
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def gif(data: bytes) -> Encoded:
    """The first picture alone, its transparency taken off.

    Raises ValueError for a first picture that is cut short or larger than the screen, IndexError and
    struct.error for a header that is.
    """
    width, height, flags, background = struct.unpack_from("<HHBB", data, 6)
    at = 13 + _palette(flags)
    head = bytearray(data[:at])
    if background >= _palette(flags) // 3:
        head[11] = 0  # many files name a colour that their palette does not have
    while data[at] == 0x21:
        at = _after_blocks(data, at + 2)
    if data[at] != 0x2C:
        raise ValueError("the GIF holds no picture; replace the file")
    x, y, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
    if x + across > width or y + down > height:
        raise ValueError("a GIF picture larger than its screen; save it anew")
    end = _after_blocks(data, at + 11 + _palette(flags))
    return Encoded(height, width, head + data[at:end] + b";")


def _palette(flags: int) -> int:
    """Bytes of the palette that the flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Where the sub-blocks that begin at `at` end."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    if at >= len(data):
        raise ValueError(f"the GIF image is {CUT}")
    return at + 1


def webp(data: bytes) -> Encoded:
    """Raises ValueError for an unknown first chunk, struct.error for a header that is cut short."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Encoded(height & 0x3FFF, width & 0x3FFF, data)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Encoded(((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1, data)
    if kind != b"VP8X" or len(data) < 30:
        raise ValueError("the WebP header is damaged; replace the file")
    width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    at, exif = 12, b""
    while at + 8 <= len(data) and not exif:
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            exif = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return Encoded(height, width, data, exif_orientation(exif))
