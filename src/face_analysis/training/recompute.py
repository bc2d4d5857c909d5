"""Training in less memory: what a unit computed is computed again when its gradients need it.

Chen, Xu, Zhang, Guestrin 2016 (arXiv 1604.06174), known as gradient checkpointing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from face_analysis.models.layers import Backbone


def recompute_units(backbone: Backbone) -> None:
    """Let every unit of the backbone's body be computed again; the losses stay the same."""
    backbone.body = _RecomputedUnits(*backbone.get_submodule("body").children())


class _RecomputedUnits(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        for unit in self:
            x = _recomputed(unit, x) if torch.is_grad_enabled() else unit(x)
        return x


def _recomputed(unit: nn.Module, x: Tensor) -> Tensor:
    contexts = partial(_contexts, unit)
    y: Tensor = checkpoint(unit, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    return y


def _contexts(unit: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """That of the first time and that of the second."""
    return nullcontext(), _averages_kept(unit)


@contextmanager
def _averages_kept(unit: nn.Module) -> Iterator[None]:
    """Let batch norms add nothing to their averages: they have counted these images already."""
    norms = [module for module in unit.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, torch.tensor(0)
    try:
        yield
    finally:
        for norm, (momentum, counted) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counted
