"""How much memory a pass of a training takes: that of the tensors made while it runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import Backbone
from face_analysis.models.speed import architecture, remembered
from face_analysis.training.backbone import freeze_first_units, recompute_units
from face_analysis.training.hardware import training_pass
from face_analysis.training.options import TrainOptions

FEW, MORE = 2, 4
"""Images of the two passes that tell what an image takes, and what is taken whatever their number."""


def pass_memory(options: TrainOptions, device: torch.device) -> tuple[float, float]:
    """The most bytes that passes of FEW and of MORE images take at once, gradients of weights aside."""
    with torch.random.fork_rng():
        backbone = build_backbone(options.backbone_config)
    frozen = freeze_first_units(backbone, options.freeze)
    what = {
        "what": "memory of training",
        "networks": architecture([backbone]),
        "device": device.type,
        "precision": options.precision,
        "frozen": options.freeze,
        "checkpointing": options.checkpointing,
    }

    def measure() -> dict[str, float]:
        if options.checkpointing:
            recompute_units(backbone)
        backbone.train().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if options.precision in ("64-true", "bf16-true"):
            backbone.to(torch.float64 if options.precision == "64-true" else torch.bfloat16)
        for part in frozen:
            part.eval()
        for weight in backbone.parameters():
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(_forget_gradient)  # type: ignore[no-untyped-call]
        with torch.random.fork_rng():
            return {str(count): peak(backbone, options, count, device) for count in (FEW, MORE)}

    found = remembered(what, measure)
    return found[str(FEW)], found[str(MORE)]


def peak(backbone: Backbone, options: TrainOptions, count: int, device: torch.device) -> float:
    """Bytes that the tensors of one pass of `count` images take at most at once."""
    with TensorMemory() as memory:
        training_pass(backbone, options.precision, count, device)
    return float(memory.peak)


def _forget_gradient(weight: torch.Tensor) -> None:
    weight.grad = None


class TensorMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that operations inside the block give, and of which the most at once.

    On any device. What an operation takes for itself while it runs is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.peak: int = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        known = {storage._cdata for storage in _storages((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage._cdata not in known and storage._cdata not in self._alive:
                self._count(storage)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        self._alive.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self._alive.discard(place)
        self.now -= size


def _storages(values: object) -> Iterator[torch.UntypedStorage]:
    """Those of the dense tensors in nested values."""
    for value in tree_iter(values):
        if isinstance(value, torch.Tensor) and value.layout == torch.strided:
            yield value.untyped_storage()
