from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from face_analysis.distributed import all_gather_rows, rank, replicated_loss, world_size
from face_analysis.training.layers import synchronise_batch_norms
from tests.training.processes import together


def images() -> Tensor:
    return torch.randn(7, 3, 5, 4, generator=torch.Generator().manual_seed(2)) * 4 + 1


def network() -> nn.Sequential:
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.BatchNorm1d(36)]
    return nn.Sequential(*norms)


def loss_of(found: Tensor) -> Tensor:
    return (found.square() * torch.arange(found.numel()).view_as(found).sin()).mean()


def run() -> dict[str, Tensor]:
    """Two forward passes and a backward one on this process's images; gradients as DDP averages them."""
    net = network()
    synchronise_batch_norms(net, torch.device("cpu"))
    own = images()[rank() :: world_size()]
    net(own * 2)
    counts = [len(range(process, 7, world_size())) for process in range(world_size())]
    found = all_gather_rows(net(own), counts)
    order = torch.cat([torch.arange(7)[process :: world_size()] for process in range(world_size())])
    replicated_loss(loss_of(found[order.argsort()])).backward()
    grads = {}
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        shared = parameter.grad.clone()
        if world_size() > 1:
            torch.distributed.all_reduce(shared)
        grads[f"grad {name}"] = shared / world_size()
    net.eval()
    return {**grads, **net.state_dict(), "eval": net(images())}


@pytest.mark.parametrize("count", [2, 3])
def test_batch_norms_and_gradients_are_those_of_one_process_with_all_images(
    tmp_path: Path, count: int
) -> None:
    net = network()
    net(images() * 2)
    loss_of(net(images())).backward()
    expected = {f"grad {name}": p.grad for name, p in net.named_parameters()} | net.state_dict()
    net.eval()
    expected["eval"] = net(images())
    for found in together(run, count, tmp_path):
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=2e-5, atol=1e-5, msg=name)
