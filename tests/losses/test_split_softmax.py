from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from face_analysis.losses.split_softmax import split_cross_entropy

SPLITS = ([7, 3], [2, 5, 3])


def logits_and_labels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(9, 10, generator=generator, dtype=torch.float64) * 30
    labels = torch.randint(10, (9,), generator=generator)
    logits[0] = 1e4  # far beyond what exp can hold
    return logits, labels


def expected() -> tuple[Tensor, Tensor]:
    logits, labels = logits_and_labels()
    logits.requires_grad_()
    loss = F.cross_entropy(logits, labels)
    (3 * loss).backward()
    assert logits.grad is not None
    return loss.detach(), logits.grad


def gradient(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    source = logits.clone().requires_grad_()
    loss = split_cross_entropy(source * 1, labels)
    (3 * loss).backward()
    assert source.grad is not None
    return loss.detach(), source.grad


def test_without_processes_it_is_cross_entropy() -> None:
    loss, gradients = gradient(*logits_and_labels())
    torch.testing.assert_close(loss, expected()[0])
    torch.testing.assert_close(gradients, expected()[1])


def part(rank: int, sizes: list[int], folder: str) -> None:
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=len(sizes))
    logits, labels = logits_and_labels()
    start = sum(sizes[:rank])
    mine = (labels >= start) & (labels < start + sizes[rank])
    own = torch.where(mine, labels - start, -1)
    found = gradient(logits[:, start : start + sizes[rank]], own)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_split_over_processes_it_is_the_same(tmp_path: Path) -> None:
    for sizes in SPLITS:
        folder = tmp_path / str(len(sizes))
        folder.mkdir()
        spawn(part, (sizes, str(folder)), len(sizes))
        parts = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(len(sizes))]
        for loss, _ in parts:
            torch.testing.assert_close(loss, expected()[0])
        torch.testing.assert_close(torch.cat([grad for _, grad in parts], dim=1), expected()[1])
