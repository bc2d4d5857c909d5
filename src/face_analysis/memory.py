"""How much memory is free, and how the C library gives it back."""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress
from pathlib import Path

MEMINFO, STATM = Path("/proc/meminfo"), Path("/proc/self/statm")
CGROUP = Path("/sys/fs/cgroup")
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


def free_memory() -> int:
    """Bytes that this process can still take: of the machine, of its control group, of its own limit.

    Where the system does not tell what is free, all of the machine's memory counts.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    free = os.sysconf("SC_PHYS_PAGES") * page
    with suppress(OSError, LookupError, ValueError):
        free = 1024 * int(_table(MEMINFO)["MemAvailable:"])
    with suppress(OSError, LookupError, ValueError):
        limit, used = (
            int((CGROUP / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current")
        )
        cached = int(_table(CGROUP / "memory.stat")["inactive_file"])  # given up as soon as others need it
        free = min(free, limit - used + cached)
    with suppress(OSError, LookupError, ValueError):
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, limit - page * int(STATM.read_text(encoding="ascii").split()[0]))
    return max(0, free)


def _table(path: Path) -> dict[str, str]:
    """The first number of each line, by the word before it."""
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {words[0]: words[1] for words in lines if len(words) > 1}
