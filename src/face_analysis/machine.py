"""What a command is told of the machine it runs on: a device, threads and a number format."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from face_analysis.errors import UsageError
from face_analysis.options import Opt, Range

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"]
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, kw_only=True)
class ThreadOptions:
    """The option of every command that runs a detector."""

    threads: Annotated[
        int, Opt("CPU threads of a network or detector; 0: one or as many as cores, measured"), Range(low=0)
    ] = 0


@dataclass(frozen=True, kw_only=True)
class MachineOptions(ThreadOptions):
    """The options of every command that runs a network."""

    device: Annotated[
        str, Opt("auto (a GPU where there is one), cpu, cuda, or cuda:N for the GPU with the number N")
    ] = "auto"
    precision: Annotated[
        Precision,
        Opt("number format; auto: what is measured fastest on this machine, or what a resumed run began in"),
    ] = "auto"


@dataclass(frozen=True)
class Form:
    """How a network runs: its number format (never auto), CPU threads, and order of its numbers in memory."""

    precision: Precision = "32-true"
    threads: int = 1
    channels_last: bool = True

    @property
    def format(self) -> str:
        """The number format and order in words."""
        names = {"32": "float32", "16": "float16", "64": "float64"}
        width = self.precision.partition("-")[0]
        return names.get(width, width) + ("" if self.channels_last else " in NCHW order")

    @property
    def text(self) -> str:
        """All of it in words."""
        return f"{self.format} on {self.threads} thread" + "s" * (self.threads != 1)


def device_of(name: str) -> torch.device:
    """The device that `--device` names. Raises UsageError for one that this machine does not have."""
    import torch

    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"--device {name}: give auto, cpu, cuda, or cuda:N")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and not gpus):
        return torch.device("cpu")
    if not gpus:
        raise UsageError(f"--device {name}: this machine has no GPU that torch can use; give cpu or auto")
    if int(number or 0) >= gpus:
        raise UsageError(f"--device {name}: this machine has {gpus} GPUs, numbered from 0")
    return torch.device("cuda", int(number or 0))


def check_machine(options: MachineOptions) -> None:
    """Raises UsageError for a device that is not there, or a format it lacks."""
    device = device_of(options.device)
    if options.precision == "16-mixed" and device.type != "cuda":
        raise UsageError("--precision 16-mixed needs a GPU; give 32-true, or leave the choice to auto")


def all_threads() -> int:
    """The CPU cores that this process may use, or fewer where OMP_NUM_THREADS says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(cores, int(told)) if told.isdecimal() and int(told) > 0 else cores


def use_threads(count: int) -> None:
    """Let torch's networks and OpenCV's detectors of this process work on so many threads."""
    import torch

    torch.set_num_threads(count)
    use_detector_threads(count)


_PROCESS = os.getpid()


def use_detector_threads(count: int) -> None:
    """Let OpenCV's detectors work on so many threads.

    In a forked process their number stays: to change it, OpenCV would wait for threads of the parent.
    """
    import cv2

    if os.getpid() == _PROCESS and count != cv2.getNumThreads():
        cv2.setNumThreads(count)
