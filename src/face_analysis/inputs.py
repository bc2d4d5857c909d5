"""What is checked of a file before it is read."""

from __future__ import annotations

import stat
from pathlib import Path

from face_analysis.errors import UsageError

MAX_TEXT = 2**31
"""Bytes of a list of images; one of ten million images has a third of it."""


def check_input(path: Path, most: int | None = None) -> None:
    """Raise UsageError for a pipe, socket or device, which may never end, and for more than `most` bytes.

    Nothing is read. A folder passes, and so does a name at which nothing is.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path} is a pipe, socket or device; give a file or a folder")
    if most is not None and stat.S_ISREG(status.st_mode) and status.st_size > most:
        raise UsageError(f"{path} has {status.st_size} bytes, more than the limit of {most}; make it smaller")
