"""A step of ArcFace over a million classes of which a tenth is sampled, as training does it: time and memory.

python -m benchmarks.sampled_classes
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.model_speed import Way, options, report, seconds_in_turn
from benchmarks.process_memory import megabytes
from face_analysis.losses.cross_entropy import split_cross_entropy
from face_analysis.losses.margin import arcface, cosines
from face_analysis.memory import keep_freed_memory
from face_analysis.training.tasks.partial_fc import ClassWeights

CLASSES, SIZE, RATE = 1_000_000, 512, 0.1


def sampled(batch: int) -> Callable[[], None]:
    """Forward, backward and the update of the class weights, with embeddings of norm 1 as input."""
    keep_freed_memory()
    classes = ClassWeights(CLASSES, SIZE, rate=RATE)
    generator = torch.Generator().manual_seed(0)
    steps = iter(range(10**9))

    def step() -> None:
        embeddings = F.normalize(torch.randn(batch, SIZE, generator=generator)).requires_grad_()
        labels = torch.randint(CLASSES, (batch,), generator=generator)
        sample, own = classes.sample(labels, next(steps))
        logits = arcface(cosines(embeddings, sample.weights.flatten(0, 1)), own)
        split_cross_entropy(logits, own).backward()  # type: ignore[no-untyped-call]
        classes.update(0.1, 0.9, 5e-4)

    return step


def peak(batch: int) -> str:
    """What the process of five steps holds at most, in MiB, with Python and torch."""
    step = sampled(batch)
    for _ in range(5):
        step()
    return f"{megabytes('VmHWM'):.0f}"


def main() -> None:
    ways: dict[str, Way] = {"sampled": sampled}
    given = options(__doc__, ways, batch=128, output="results/sampled_classes.csv")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        own = {"sampled": {"process_peak_MiB": pool.apply(peak, (given.batch,))}}
    extra = {"classes": str(CLASSES), "sample_rate": str(RATE), "embedding_size": str(SIZE)}
    report(given.output, seconds_in_turn(ways, given.batch, given.rounds), given.batch, extra, own)


if __name__ == "__main__":
    main()
