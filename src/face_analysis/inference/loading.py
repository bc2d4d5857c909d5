"""What threads do beside a network: reading photos and finding faces in them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode
from face_analysis.machine import ThreadOptions, all_threads, use_detector_threads, use_threads
from face_analysis.models.speed import images_per_second, remembered

log = logging.getLogger(__name__)
PHOTO, CHIP = (480, 640), (112, 112)
MOST, LEAST = 64, 4
"""Photos that a number of threads is measured with."""


@dataclass(frozen=True)
class BackgroundLoading:
    """A `job` that `workers` threads do for each image."""

    name: str
    job: Callable[[], object]
    workers: int

    def run(self, count: int, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Do the job for so many images, and something else meanwhile."""
        with ThreadPoolExecutor(max(self.workers, 1)) as pool:
            jobs = [pool.submit(self.job) for _ in range(count)]
            meanwhile()
            for job in jobs:
                job.result()


def loading(maker: ChipMaker, workers: int) -> BackgroundLoading:
    """Decoding, and finding faces where the maker does, on a made photo of 640x480 pixels or chip."""
    height, width = CHIP if maker.detector is None else PHOTO
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    photo = cv2.imencode(".jpg", pixels)[1].tobytes()
    turns = len(getattr(maker.detector, "turns", ()))
    name = f"{width}x{height}, searched {turns} times"
    return BackgroundLoading(name, lambda: maker.cut(decode(photo, name), name), workers)


def loading_threads(asked: ThreadOptions, background: BackgroundLoading) -> int:
    """The threads of a detector that several workers use at once: as told, or the number measured faster."""
    counts = thread_counts(asked)
    if len(counts) == 1:
        return counts[0]

    def way(threads: int) -> Callable[[int], None]:
        def run(count: int) -> None:
            use_threads(threads)
            background.run(count)

        return run

    what = {"what": "loading", "beside": [background.name, background.workers], "threads": list(counts)}
    with threads_kept():
        rates = remembered(
            what, lambda: images_per_second({str(count): way(count) for count in counts}, MOST, LEAST)
        )
    best = max(counts, key=lambda count: rates[str(count)])
    measured = ", ".join(f"{rates[str(count)]:.3g} photos/s on {count}" for count in counts)
    log.info("each of %d workers detects on %d threads: measured %s", background.workers, best, measured)
    return best


def thread_counts(asked: ThreadOptions) -> tuple[int, ...]:
    """The number of threads that was told, or those to choose from, the largest last."""
    most = all_threads()
    return (min(asked.threads, most),) if asked.threads else tuple(sorted({1, most}))


@contextmanager
def threads_kept() -> Iterator[None]:
    """Let the numbers of threads be after the block what they were before."""
    before, detector = torch.get_num_threads(), cv2.getNumThreads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
        use_detector_threads(detector)
