"""What reading a picture may take: checked before its file is read, and before its pixels are decoded."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from face_analysis.errors import UnreadableImageError

MAX_PIXELS = 2**26
"""67 million; the claimed size of a larger picture is refused before anything is decoded. A JPEG of one scan
may have twice as many, since its reader needs no copy beside its output."""
MAX_BYTES = 2 * 10**8
"""Of an encoded picture. With MAX_PIXELS this keeps decoding within 1 GB, of WebP within 1.3 GB."""

_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)


def check_pixels(width: int, height: int, limit: int = MAX_PIXELS, advice: str = "make it smaller") -> None:
    """Raise UnreadableImageError for a picture without pixels or with more than `limit`."""
    if width < 1 or height < 1:
        raise UnreadableImageError(f"the picture claims {width}x{height} pixels; replace the file")
    if width * height > limit:
        raise UnreadableImageError(
            f"{width}x{height} pixels are more than the limit of {limit} for its kind; {advice}"
        )


def check_bytes(count: int) -> None:
    """Raise UnreadableImageError for more than MAX_BYTES."""
    if count > MAX_BYTES:
        raise UnreadableImageError(f"{count} bytes are more than the limit of {MAX_BYTES}; make it smaller")


def read_picture_file(path: str | Path) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES; nothing else is read or waited for.

    Raises UnreadableImageError for a larger file and for a folder, pipe, socket or device, OSError where
    the file is missing or may not be read.
    """
    # Opening a pipe would wait for its writer, unless told not to.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _WITHOUT_WAITING)) as file:
        status = os.fstat(file.fileno())
        try:
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableImageError("not a regular file; give a picture file")
            check_bytes(status.st_size)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{path}: {error}") from error
        return file.read(status.st_size)
