"""A backbone whose body is compiled by torch, which needs a C++ compiler, or on a GPU Triton."""

from __future__ import annotations

import torch

from face_analysis.errors import UsageError
from face_analysis.models.layers import Backbone

MOST_FORMS = 64
"""Forms that a unit is compiled in: for each shape of images and weights, in training and in validation."""


def require_compiler(device: str) -> None:
    """Raises UsageError where torch cannot compile for the device."""
    try:
        torch.compile(_trial)(torch.zeros(8, device=device))
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


def _trial(x: torch.Tensor) -> torch.Tensor:
    return x + 1
