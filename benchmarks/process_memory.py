"""What a benchmark's process holds, or has held, of memory."""

from __future__ import annotations

from pathlib import Path


def megabytes(field: str) -> float:
    """Memory (MiB) of this process: VmRSS now, VmHWM at most, without what its parent held."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024
