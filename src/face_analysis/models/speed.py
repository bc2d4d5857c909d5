"""Which of several ways to do the same work is fastest on this machine: measured, and remembered."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from face_analysis.errors import FaceAnalysisError
from face_analysis.files import write_text
from face_analysis.machine import Form, all_threads
from face_analysis.zoo.find import cache_folder

Way = TypeVar("Way")
MEMORY = "FACE_ANALYSIS_SPEED_CACHE"
"""Environment variable: the folder that measurements are kept in, or 0 to keep none."""
BUSY_SECONDS = 3600
"""How long a measurement made on a busy machine counts: not for good, but related runs take the same form."""
SLOWER = 2.5
"""A way that takes so many times as long as the fastest one is not tried with more images."""
GROWTH = 4
WORTH = 1.03
"""A format with fewer digits has to be so many times as fast as float32 to be chosen."""
FEWER_THREADS_WORTH = 1.1
"""Fewer threads have to be so many times as fast as all. Another process that runs during the measurement
slows down all threads more than one, and does not last."""


def images_per_second(
    ways: Mapping[Way, Callable[[int], object]],
    most: int,
    least: int = 1,
    seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Way, float]:
    """Images a second of each way, in turn with the others; a way does the work of so many images.

    Starts with `least` images and goes to `most`, as long as `seconds` suffice; ways that turn out slow are
    left behind at what they reached. Each is called once unmeasured before it is timed, by the `clock`.
    """
    end = time.perf_counter() + seconds
    running, rates, count = list(ways), dict.fromkeys(ways, 0.0), min(least, most)
    while True:
        rates |= _timed({way: ways[way] for way in running}, count, end, clock)
        best = max(rates[way] for way in running)
        running = [way for way in running if rates[way] * SLOWER >= best]
        larger = min(most, count * GROWTH)
        expected = 2 * sum(larger / rates[way] for way in running)
        if larger == count or len(running) == 1 or time.perf_counter() + expected > end:
            return rates
        count = larger


def _timed(
    ways: Mapping[Way, Callable[[int], object]], count: int, end: float, clock: Callable[[], float]
) -> dict[Way, float]:
    for run in ways.values():
        run(count)
    fastest = dict.fromkeys(ways, math.inf)
    for _ in range(3):
        for way, run in ways.items():
            start = clock()
            run(count)
            fastest[way] = min(fastest[way], clock() - start)
        if time.perf_counter() > end:
            break
    return {way: count / max(taken, 1e-9) for way, taken in fastest.items()}


def remembered(what: Mapping[str, Any], measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `measure` found for `what` on this machine before, or else what it finds now.

    Each measurement is a file in $FACE_ANALYSIS_SPEED_CACHE (default: the folder `speed` of the cache). A
    file that is damaged, of something else, or over an hour old and made while more processes wanted to run
    than there are cores, is replaced; where none can be written, none is kept.
    """
    facts = {**machine_facts(), **what}
    path = _file_of(facts)
    if path is None:
        return measure()
    found = _read(path, facts)
    if not found:
        busy, found = _busy(), measure()
        with suppress(FaceAnalysisError):
            write_text(path, json.dumps({"facts": facts, "busy": busy, "measured": found}, indent=1))
    return found


def _busy() -> bool:
    with suppress(OSError, AttributeError):  # other systems do not tell
        return os.getloadavg()[0] > all_threads()
    return False


def _file_of(facts: Mapping[str, Any]) -> Path | None:
    folder = os.environ.get(MEMORY)
    if folder == "0":
        return None
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    try:
        return (Path(folder).expanduser() if folder else cache_folder() / "speed") / f"{name}.json"
    except (FaceAnalysisError, RuntimeError):  # no home folder
        return None


def _read(path: Path, facts: Mapping[str, Any]) -> dict[str, float]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rates = {str(way): float(rate) for way, rate in content["measured"].items()}
        old = content["busy"] and time.time() - path.stat().st_mtime > BUSY_SECONDS
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    whole = not old and content["facts"] == facts and all(0 < rate < math.inf for rate in rates.values())
    return rates if whole else {}


def machine_facts() -> dict[str, Any]:
    """What the speed of a network hangs on beside itself."""
    return {"cpu": cpu_name(), "cores": all_threads(), "torch": torch.__version__}


def cpu_name() -> str:
    """The CPU's name as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Measured:
    """The fastest form, and images a second: on each number of threads, then in each format."""

    best: Form
    threads: Mapping[Form, float]
    formats: Mapping[Form, float]

    @property
    def text(self) -> str:
        """What was measured in words; empty where there was no choice."""
        parts = []
        if len(self.formats) > 1:
            others = [form for form in self.formats if form != self.best]
            slower = ", ".join(f"{form.format} {self.formats[form]:.3g}" for form in others)
            parts.append(f"measured {self.formats[self.best]:.3g} images/s; {slower}")
        if len(self.threads) > 1:
            counts = ", ".join(f"{rate:.3g} on {form.threads}" for form, rate in self.threads.items())
            parts.append(f"by threads, with the loading beside, {counts}")
        return "; ".join(parts)


def measured(
    precisions: Sequence[Form],
    threads: Sequence[int],
    thread_rates: Callable[[list[Form]], dict[Form, float]],
    format_rates: Callable[[list[Form], Callable[[], float]], dict[Form, float]],
) -> Measured:
    """The fastest of several formats and numbers of threads.

    First the number of threads, in the first format, then the format. One thread is timed by the time it
    computes, which other processes do not change. A format of fewer digits has to be WORTH it, and fewer
    threads FEWER_THREADS_WORTH.
    """
    one_format = [replace(precisions[0], threads=count) for count in threads]
    by_threads = thread_rates(one_format) if len(threads) > 1 else dict.fromkeys(one_format, 0.0)
    most = max(threads)
    count = max(
        by_threads, key=lambda form: by_threads[form] * (FEWER_THREADS_WORTH if form.threads == most else 1)
    ).threads
    forms = [replace(form, threads=count) for form in precisions]
    clock = time.thread_time if count == 1 else time.perf_counter
    rates = format_rates(forms, clock) if len(forms) > 1 else dict.fromkeys(forms, 0.0)
    best = max(rates, key=lambda form: rates[form] * (WORTH if form.precision == "32-true" else 1))
    return Measured(best, by_threads, rates)


def architecture(networks: Sequence[nn.Module]) -> str:
    """A hash of what the networks are made of: their layers, and the shapes of their weights."""
    parts = [
        f"{name} {type(module).__name__} {module.extra_repr()} "
        + " ".join(str(tuple(weight.shape)) for weight in module.parameters(recurse=False))
        for network in networks
        for name, module in network.named_modules()
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
