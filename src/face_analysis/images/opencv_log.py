"""OpenCV's own messages, silenced where an error of ours says the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2

_lock = threading.Lock()
_depth = 0
_level = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV from printing inside the block; the level it had comes back when the last thread leaves."""
    global _depth, _level
    logging: Any = cv2.utils.logging
    with _lock:
        if _depth == 0:
            _level = logging.setLogLevel(0)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                logging.setLogLevel(_level)
