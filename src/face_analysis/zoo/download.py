"""Fetching a model: hashed while it is read, and kept only if it is the right one."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from face_analysis.errors import DownloadError
from face_analysis.files import whole_file
from face_analysis.zoo.catalogue import Entry

TIMEOUT = 30.0
"""Seconds to wait for a connection, and for each piece after it."""
LIMIT = 1 << 30
"""Bytes after which a download is given up: more than any model has."""
PIECE = 1 << 16

log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


def fetch(entry: Entry, path: Path, timeout: float = TIMEOUT) -> Path:
    """Fetch the entry from its address to `path`, which appears whole or not at all; returns `path`.

    May be called from several threads and processes. Raises DownloadError, WriteError.
    """
    with _one_at_a_time:  # threads of one process would write to the same hidden name
        if not entry.fault(path):
            return path
        log.info("fetching the model %s from %s", entry.name, entry.address)
        digest = hashlib.sha256()
        with whole_file(path) as partial:
            with partial.open("wb") as file:
                for piece in _pieces(entry, timeout):
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != entry.sha256:
                raise _failure(entry, f"gave another file, SHA-256 {digest.hexdigest()}")
    return path


def _pieces(entry: Entry, timeout: float) -> Iterator[bytes]:
    try:
        with urlopen(entry.address, timeout=timeout) as response:
            received = 0
            while piece := response.read(PIECE):
                received += len(piece)
                if received > LIMIT:
                    raise _failure(entry, f"gave more than {LIMIT} bytes")
                yield piece
            if response.length:
                raise _failure(entry, f"was cut short by {response.length} bytes")
    except (OSError, HTTPException) as error:
        reason = f"{error.code} {error.reason}" if isinstance(error, HTTPError) else _reason(error)
        raise _failure(entry, f"could not be fetched: {reason}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__


def _failure(entry: Entry, reason: str) -> DownloadError:
    return DownloadError(entry.name, [f"{entry.address} ({reason})"])
