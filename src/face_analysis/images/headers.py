"""What a file is and claims, told from its bytes before any pixel is decoded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from face_analysis.images.containers import CUT, Encoded, gif, jpeg, png, webp
from face_analysis.images.orientation import UPRIGHT
from face_analysis.images.tiff import ORIENTATION, fields, tiff_size

READ = "JPEG, PNG, WebP, GIF, BMP, TIFF or PNM"
_NOT_READ = {
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
    "AVIF": (b"avif", b"avis"),
}
_BGR_MASKS = (0xFF0000, 0xFF00, 0xFF)
"""The only ones that OpenCV reads rightly behind the 40-byte header of BMP."""
_NUMBER = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})")


def read_header(data: bytes) -> tuple[str, Encoded]:
    """The format of the image and what it claims. Raises ValueError that says what is wrong and what to do.

    Formats beside READ are refused, even those that OpenCV knows: its readers for them are little used, and
    some apply no orientation.
    """
    if not data:
        raise ValueError("the file is empty; replace it")
    for form, starts, read in _FORMATS:
        if data.startswith(starts) and (form != "WebP" or data[8:12] == b"WEBP"):
            try:
                encoded = read(data)
            except (struct.error, IndexError) as error:
                raise ValueError(f"the {form} header is {CUT}") from error
            if encoded.height < 1 or encoded.width < 1:
                raise ValueError(f"the {form} image claims no pixels; replace the file")
            return form, encoded
    raise ValueError(_refusal(data))


def _refusal(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        for form, brands in _NOT_READ.items():
            if data[8:12] in brands:
                return f"{form} is not read; convert it to JPEG"
    if data.startswith((b"II+\0", b"MM\0+")):
        return "BigTIFF is not read; save it as plain TIFF or PNG"
    return f"not an image, or not {READ}; replace or convert the file"


def _bmp(data: bytes) -> Encoded:
    (offset, size) = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packing = 0
    else:
        width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)
    if size == 40 and (bits, packing) == (32, 3) and struct.unpack_from("<III", data, 54) != _BGR_MASKS:
        raise ValueError("BMP of an unusual order of colours is not read; convert it to PNG")
    if packing in (0, 3) and offset + (width * bits + 31) // 32 * 4 * height > len(data):
        raise ValueError(f"the BMP image is {CUT}")
    return Encoded(height, width, data)


def _pnm(data: bytes) -> Encoded:
    kind, at, numbers = data[1:2], 2, []
    for _ in range(2 if kind in b"14" else 3):
        match = _NUMBER.match(data, at)
        if match is None:
            raise ValueError("the PNM header is damaged; replace the file")
        numbers.append(int(match[1]))
        at = match.end()
    width, height, largest = numbers if len(numbers) == 3 else (*numbers, 1)
    # OpenCV stretches smaller ranges in the text kinds up to 255 alone.
    if largest not in (255, 65535) and (kind in b"56" or largest > 255):
        raise ValueError(f"PNM with a largest value of {largest} is not read, only 255 and 65535; convert it")
    if kind in b"456":
        samples = 3 if kind == b"6" else 1
        row = (width + 7) // 8 if kind == b"4" else width * samples * (2 if largest > 255 else 1)
        if at + 1 + row * height > len(data):
            raise ValueError(f"the PNM image is {CUT}")
    return Encoded(height, width, data)


def _tiff(data: bytes) -> Encoded:
    found = fields(data)
    height, width = tiff_size(data, found)
    turn = found.get(ORIENTATION)
    if turn is None or not UPRIGHT < turn.value <= 8:
        return Encoded(height, width, data)
    # OpenCV turns images that are stored in tiles wrongly, so it must not see the tag.
    body = bytearray(data)
    struct.pack_into(turn.form, body, turn.at, UPRIGHT)
    return Encoded(height, width, body, turn.value)


_FORMATS: tuple[tuple[str, tuple[bytes, ...], Callable[[bytes], Encoded]], ...] = (
    ("JPEG", (b"\xff\xd8",), jpeg),
    ("PNG", (b"\x89PNG\r\n\x1a\n",), png),
    ("WebP", (b"RIFF",), webp),
    ("GIF", (b"GIF87a", b"GIF89a"), gif),
    ("BMP", (b"BM",), _bmp),
    ("TIFF", (b"II*\0", b"MM\0*"), _tiff),
    ("PNM", (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), _pnm),
)
