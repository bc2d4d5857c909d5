"""Networks in processes that were forked."""

from __future__ import annotations

import functools
import os

import torch

from face_analysis.errors import UsageError


@functools.cache
def prepare_forks() -> None:
    """From now on let the processes that are forked off this one run torch on one thread.

    The threads of torch's OpenMP stay behind in the parent. A child that goes on with several waits for them
    for ever, at the first operation that is large enough to be shared out.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(torch.set_num_threads, 1))


def check_fork(device: torch.device) -> None:
    """Raise UsageError in a forked process whose parent used the GPU: CUDA does not work there."""
    if device.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise UsageError(
            "a forked process cannot use the GPU of its parent: start the processes with "
            'multiprocessing.get_context("spawn")'
        )
