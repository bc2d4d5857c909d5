"""IR-SE-50 inference: as `face-analysis predict` does it against plain float32 NCHW."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.model_speed import options, report, seconds_in_turn, smooth_images
from face_analysis.inference.form import library_choice
from face_analysis.memory import keep_freed_memory
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import Backbone
from face_analysis.models.precision import for_inference
from face_analysis.zoo.card import BackboneConfig

WARM_STEPS = 6


def plain(batch: int) -> Callable[[], Tensor]:
    return forward(warmed_network(), batch)


def ours(batch: int) -> Callable[[], Tensor]:
    keep_freed_memory()
    network, choice = warmed_network(), library_choice()
    form = choice.form([network], "IR-SE-50")
    return forward(for_inference(network, choice.device, form), batch)


def forward(network: nn.Module, batch: int) -> Callable[[], Tensor]:
    images = smooth_images(batch, torch.Generator().manual_seed(1))

    @torch.inference_mode()
    def once() -> Tensor:
        embeddings: Tensor = network(images)
        return embeddings

    return once


def warmed_network() -> Backbone:
    """A random network whose batch norms hold the statistics of smooth images."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network = build_backbone(BackboneConfig()).train()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(WARM_STEPS):
            network(smooth_images(16, generator))
    return network.eval()


def main() -> None:
    ways = {"float32 NCHW": plain, "ours": ours}
    given = options(__doc__, ways, batch=96, output="results/inference.csv")
    seconds = seconds_in_turn(ways, given.batch, given.rounds)
    expected, found = plain(given.batch)(), ours(given.batch)()
    others = (expected @ expected.T).fill_diagonal_(-1)
    lowest, closest = (expected * found).sum(1).min().item(), others.max().item()
    extra = {"lowest_cosine": f"{lowest:.6f}", "highest_cosine_of_two_images": f"{closest:.3f}"}
    report(given.output, seconds, given.batch, extra)


if __name__ == "__main__":
    main()
