"""Functions run in several real processes that exchange over gloo.

They are forked: a fresh process would import torch for seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes


def together(function: Callable[..., Any], count: int, folder: Path, *arguments: Any) -> list[Any]:
    """What `function(*arguments)` gives in each of `count` processes; tensors, lists and dicts of them."""
    folder.mkdir(parents=True, exist_ok=True)
    start_processes(_one, (function, count, str(folder), arguments), count, start_method="fork")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]


def _one(
    rank: int, function: Callable[..., Any], count: int, folder: str, arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=count)
    torch.save(function(*arguments), f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
