"""JPEG pixels: by libjpeg-turbo, and again with patience where a file breaks a rule but lacks nothing."""

from __future__ import annotations

import io
import re
from typing import NamedTuple, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from face_analysis.errors import UnreadableImageError
from face_analysis.images.limits import MAX_PIXELS, check_pixels

MAX_SCANS = 100
"""Of one JPEG; encoders write about ten, and each passes over all pixels again."""

_METADATA = (b"Exif\0\0", b"ICC_PROFILE\0", b"http://ns.adobe.com/xap/")
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_SCAN_OR_RESTART = re.compile(rb"\xff([\xd0-\xd7\xda])")
_MARKER = re.compile(rb"\xff+[\xc4\xd0-\xdd]")
_FILLINGS = (bytes(range(0x9D, 0xFE, 3)) * 16, bytes(range(0xC5, 0x1F, -5)) * 16)
"""Bits that decode to anything but the flat grey that a decoder gives for missing ones: the first is set, and
they last for more than the blocks of one unit, of which some may lie outside the picture."""


class JpegParts(NamedTuple):
    """What Pillow read before the first scan, where the scan's bits begin, and whether it holds everything.

    `whole`: all components in full, as in photos that are not progressive.
    """

    header: JpegImageFile
    start: int
    whole: bool


def read_jpeg(data: bytes, *, reduced: bool = False) -> tuple[NDArray[np.uint8], JpegImageFile | None]:
    """Decode to RGB (H, W, 3), grey (H, W) where the colour profile is grey, or CMYK (H, W, 4).

    The header is None where it says neither orientation nor profile. `reduced` reads all of the file, but
    gives an eighth of the pixels. Raises UnreadableImageError for more pixels than the limit and more scans
    than MAX_SCANS, ValueError for damage.
    """
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    parts = None
    # A file without metadata, as chips are, needs no second parser.
    if (
        height * width > MAX_PIXELS
        or data.count(_SCAN) > MAX_SCANS
        or any(mark in data for mark in _METADATA)
    ):
        parts = _parts(data)
        _check_scans(data, parts)
    streams = parts is not None and parts.whole and colours not in ("CMYK", "YCCK")
    check_pixels(width, height, 2 * MAX_PIXELS if streams else MAX_PIXELS)
    header = parts.header if parts else None
    if colours in ("CMYK", "YCCK"):
        # As Pillow does: whoever writes CMYK JPEGs follows Adobe, which stores them inverted.
        return np.invert(_pixels(data, "CMYK", reduced)), header
    grey = header is not None and (header.info.get("icc_profile") or b"")[16:20] == b"GRAY"
    pixels = _pixels(data, "GRAY" if grey and colours == "Gray" else "RGB", reduced)
    return pixels.squeeze(2) if pixels.shape[2] == 1 else pixels, header


def _parts(data: bytes) -> JpegParts:
    file = io.BytesIO(data)
    header, start = JpegImageFile(file), file.tell()
    count = header.layers
    scan = _SCAN + bytes((0, 6 + 2 * count, count))
    whole = "progressive" not in header.info and data.startswith(scan, start - 8 - 2 * count)
    return JpegParts(header, start, whole)


def _check_scans(data: bytes, parts: JpegParts) -> None:
    end = data.find(_END, parts.start)
    scans = 1 + data.count(_SCAN, parts.start, end if end >= 0 else len(data))
    if scans > MAX_SCANS:
        raise UnreadableImageError(
            f"{scans} scans in one JPEG are more than the limit of {MAX_SCANS}; save it anew"
        )


def _pixels(data: bytes, colours: str, reduced: bool) -> NDArray[np.uint8]:
    side = 1 if reduced else 0
    try:
        return _decoded(data, colours, side)
    except ValueError:
        return _patient_pixels(data, colours)


def _patient_pixels(data: bytes, colours: str) -> NDArray[np.uint8]:
    """The pixels of a JPEG that other readers take too: wrong scan parameters, restart numbers, stray bytes.

    The decoder names its first complaint alone, and fills missing pixels up. So what is known to do no harm
    is mended, and for the rest bits are added wherever some may be missing: pixels that change were made up.
    Raises ValueError for damaged bits and for missing pixels.
    """
    parts = _parts(data)
    _check_scans(data, parts)
    # A last 0xFF is half of something.
    head, scans = _tidied(data[: parts.start]), data[parts.start :].rstrip(b"\xff")
    if parts.whole:
        head = head[:-3] + b"\0\x3f\0"  # all 64 coefficients at full precision, as a scan of this kind has
    mended = head + _renumbered(scans)
    try:
        return _decoded(mended, colours)
    except ValueError as error:
        complaint = str(error)
        if " code" in complaint or not (parts.whole or _END in scans):
            raise
    pixels = _decoded(mended, colours, strict=False)
    for filling in _FILLINGS:
        filled = head + _renumbered(_filled(scans, filling))
        if not np.array_equal(pixels, _decoded(filled, colours, strict=False)):
            raise ValueError(complaint)
    return pixels


def _tidied(head: bytes) -> bytes:
    """The segments before the first scan's bits without stray bytes between them."""
    kept, at = head[:2], 2
    while (at := head.find(b"\xff", at)) >= 0 and at + 4 <= len(head):
        if head[at + 1] in (0x00, 0xFF):  # not a marker, or a filler before one
            at += 1
            continue
        end = at + 2 + int.from_bytes(head[at + 2 : at + 4], "big")
        kept += head[at:end]
        at = end
    return kept


def _filled(scans: bytes, filling: bytes) -> bytes:
    """The scans with more bits before each marker, and with more parts between restarts than there are."""
    bits = scans.partition(_END)[0]
    return _MARKER.sub(lambda marker: filling + marker[0], bits + 3 * b"\xff\xd0" + _END)


def _renumbered(scans: bytes) -> bytes:
    """Restart markers numbered as they should be: 0 to 7 in turn in each scan."""
    number = -1

    def right(marker: re.Match[bytes]) -> bytes:
        nonlocal number
        number = -1 if marker[1] == b"\xda" else number + 1
        return marker[0] if number < 0 else b"\xff" + bytes((0xD0 + number % 8,))

    return _SCAN_OR_RESTART.sub(right, scans)


def _decoded(data: bytes, colours: str, side: int = 0, *, strict: bool = True) -> NDArray[np.uint8]:
    """As stored; reduced as far as a `side` above 0 allows. `strict` raises ValueError for any complaint."""
    pixels = simplejpeg.decode_jpeg(data, colours, min_height=side, min_width=side, strict=strict)
    return cast("NDArray[np.uint8]", pixels)
