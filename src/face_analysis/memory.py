"""How much memory is free, how much this process holds, and how the C library gives it back."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GIB = 2**30
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
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
    """Bytes that this process can still take: of the machine, of its control groups, of its own limits.

    Where the system does not tell what is free, all of the machine's memory counts.
    """
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, LookupError, ValueError):
        free = _table(PROC / "meminfo")["MemAvailable:"]
    return max(0, min([free, *_left_of_groups(), *_left_of_limits()]))


def held_memory(field: str = "VmRSS:") -> int:
    """Bytes that this process holds in memory now; `VmHWM:` the most it held; 0 where no system tells."""
    with suppress(OSError, LookupError, ValueError):
        return _table(PROC / "self" / "status")[field]
    return 0


def _left_of_groups() -> Iterator[int]:
    """What each control group around this process leaves, of either version."""
    names = (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for controller, limit, used, cached in names:
        folder = CGROUPS / controller / _own_group(controller)
        while CGROUPS in (folder, *folder.parents):
            with suppress(OSError, LookupError, ValueError):
                most, now = (int((folder / name).read_text(encoding="ascii")) for name in (limit, used))
                yield most - now + _table(folder / "memory.stat", unit=1)[cached]
            folder = folder.parent


def _own_group(controller: str) -> str:
    with suppress(OSError, ValueError):
        for line in (PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return path.lstrip("/")
    return ""


def _left_of_limits() -> Iterator[int]:
    """What `ulimit -v` and `ulimit -d` leave."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for kind, field in ((resource.RLIMIT_AS, "VmSize:"), (resource.RLIMIT_DATA, "VmData:")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - held_memory(field)


def _table(path: Path, unit: int = 1024) -> dict[str, int]:
    """The number of each line in bytes, by the word before it."""
    lines = (line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines())
    return {words[0]: unit * int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
