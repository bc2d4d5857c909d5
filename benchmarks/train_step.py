"""One training step of IR-SE-50: in bf16 and channels-last memory against plain float32 NCHW."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.model_speed import options, report, seconds_in_turn, smooth_images
from face_analysis.memory import keep_freed_memory
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.zoo.card import BackboneConfig


def plain(batch: int) -> Callable[[], None]:
    return step(batch, mixed=False)


def ours(batch: int) -> Callable[[], None]:
    keep_freed_memory()
    return step(batch, mixed=True)


def step(batch: int, mixed: bool) -> Callable[[], None]:
    """Forward, backward and SGD of one fresh network on one fixed batch."""
    generator = torch.Generator().manual_seed(0)
    images, labels = smooth_images(batch, generator), torch.randint(5, (batch,), generator=generator)
    network = AttributeNetwork(BackboneConfig(), ("race",)).train()
    if mixed:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)

    def once() -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = F.cross_entropy(network(images)["race"], labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return once


def main() -> None:
    ways = {"float32 NCHW": plain, "ours": ours}
    given = options(__doc__, ways, batch=32, output="results/train_step.csv")
    report(given.output, seconds_in_turn(ways, given.batch, given.rounds), given.batch, {})


if __name__ == "__main__":
    main()
