"""What is done to a backbone before it trains: layers frozen, units recomputed, the body compiled.

To recompute what a unit gave when its gradients need it takes less memory: Chen, Xu, Zhang, Guestrin 2016
(arXiv 1604.06174), known as gradient checkpointing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from face_analysis.errors import UsageError
from face_analysis.models.layers import Backbone

BEFORE_BODY = ("stem", "input_layer")
MOST_FORMS = 64
"""Forms that a unit is compiled in: for each shape of images and weights, in training and in validation."""


def freeze_first_units(backbone: nn.Module, units: int) -> list[nn.Module]:
    """Freeze what comes before the body and the body's first `units` units; none at all for -1.

    Their parameters no longer learn; the caller keeps the parts in eval mode. Raises UsageError for more
    units than there are.
    """
    if units < 0:
        return []
    body = list(backbone.get_submodule("body").children())
    if units > len(body):
        raise UsageError(f"--freeze {units}: the backbone has {len(body)} units")
    before = [part for name, part in backbone.named_children() if name in BEFORE_BODY]
    parts = [*before, *body[:units]]
    for part in parts:
        part.requires_grad_(False)
    return parts


def recompute_units(backbone: Backbone) -> None:
    """Let every unit of the backbone's body be computed again; the losses stay the same."""
    backbone.body = _RecomputedUnits(*backbone.get_submodule("body").children())


class _RecomputedUnits(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        for unit in self:
            x = _recomputed(unit, x) if torch.is_grad_enabled() else unit(x)
        return x


def _recomputed(unit: nn.Module, x: Tensor) -> Tensor:
    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """That of the first time and that of the second."""
        return nullcontext(), _averages_kept(unit)

    y: Tensor = checkpoint(unit, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    return y


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


def require_compiler(device: str) -> None:
    """Raises UsageError where torch cannot compile for the device."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(8, device=device))
    except Exception as error:  # it depends on what is missing: a compiler, its headers, Triton
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UsageError(
            f"--compile: torch cannot compile here ({reason}); install a C++ compiler, such as g++, or leave "
            "--compile out"
        ) from error


def compile_body(backbone: Backbone) -> None:
    """Let the body be compiled at its first call."""
    torch._dynamo.config.recompile_limit = MOST_FORMS
    # With sizes left open, torch 2.13 fails on images in channels-last memory.
    backbone.get_submodule("body").compile(dynamic=False)
