"""Keeping the first layers of a pretrained backbone as they are."""

from __future__ import annotations

from torch import nn

from face_analysis.errors import UsageError

BEFORE_BODY = ("stem", "input_layer")


def frozen_parts(backbone: nn.Module, units: int) -> list[nn.Module]:
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
