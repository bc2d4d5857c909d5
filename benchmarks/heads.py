"""ArcFace over 85,742 classes, forward and backward: the path of a run against the textbook's one-hot form.

python -m benchmarks.heads
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.model_speed import Way, options, report, seconds_in_turn
from benchmarks.process_memory import megabytes
from face_analysis.losses.cross_entropy import split_cross_entropy
from face_analysis.losses.margin import best_subcentres, cosines
from face_analysis.memory import keep_freed_memory
from face_analysis.training.tasks.heads import ArcFace

CLASSES, SIZE, MARGIN, SCALE = 85_742, 512, 0.5, 64.0


def inputs(batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, class weights and labels."""
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(batch, SIZE, generator=generator)).requires_grad_()
    class_weights = torch.empty(CLASSES, SIZE).normal_(std=0.01, generator=generator).requires_grad_()
    return embeddings, class_weights, torch.randint(CLASSES, (batch,), generator=generator)


def textbook_loss(embeddings: Tensor, class_weights: Tensor, labels: Tensor) -> Tensor:
    cosine = F.linear(embeddings, F.normalize(class_weights))
    sine = torch.sqrt((1.0 - cosine.pow(2)).clamp(0, 1))
    phi = cosine * math.cos(MARGIN) - sine * math.sin(MARGIN)
    phi = torch.where(cosine > math.cos(math.pi - MARGIN), phi, cosine - math.sin(math.pi - MARGIN) * MARGIN)
    one_hot = torch.zeros_like(cosine).scatter_(1, labels[:, None], 1)
    return F.cross_entropy((one_hot * phi + (1.0 - one_hot) * cosine) * SCALE, labels)


def our_loss(embeddings: Tensor, class_weights: Tensor, labels: Tensor) -> Tensor:
    found = best_subcentres(cosines(embeddings, class_weights), 1)
    norms = torch.ones(len(embeddings))
    return split_cross_entropy(ArcFace(CLASSES, MARGIN, SCALE)(found, labels, norms, 1.0), labels)


def step(loss: Callable[[Tensor, Tensor, Tensor], Tensor], batch: int) -> Callable[[], None]:
    embeddings, class_weights, labels = inputs(batch)

    def run() -> None:
        embeddings.grad = class_weights.grad = None
        loss(embeddings, class_weights, labels).backward()  # type: ignore[no-untyped-call]

    return run


def textbook(batch: int) -> Callable[[], None]:
    return step(textbook_loss, batch)


def ours(batch: int) -> Callable[[], None]:
    keep_freed_memory()
    return step(our_loss, batch)


def growth(way: Way, batch: int) -> str:
    """What the first step adds at most to the memory of its process, in MiB: without the class weights."""
    run = way(batch)
    before = megabytes("VmRSS")
    run()
    return f"{megabytes('VmHWM') - before:.0f}"


def main() -> None:
    ways: dict[str, Way] = {"textbook": textbook, "ours": ours}
    given = options(__doc__, ways, batch=128, output="results/heads.csv")
    own = {}
    for name, way in ways.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            own[name] = {"peak_MiB": pool.apply(growth, (way, given.batch))}
    extra = {"classes": str(CLASSES)}
    report(given.output, seconds_in_turn(ways, given.batch, given.rounds), given.batch, extra, own)


if __name__ == "__main__":
    main()
