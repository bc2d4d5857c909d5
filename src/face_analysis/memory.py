"""How the C library gives memory back."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let the process reuse large freed blocks instead of handing them back and faulting them in again.

    A training step on a CPU frees and takes hundreds of megabytes, and page faults can cost it a third of its
    time. It is for programs, not libraries, to decide. Does nothing where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
