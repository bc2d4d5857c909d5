"""What a benchmark's process has held of memory."""

from __future__ import annotations

from pathlib import Path


def peak_megabytes() -> float:
    """Most memory (MiB) this process has held; unlike getrusage it does not count what its parent held."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
