"""Catches, on the CPU, what would make the host wait for a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

aten = torch.ops.aten
READS = (
    *(aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten.bincount),
    *(aten._unique, aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.repeat_interleave),
)
"""Operations whose result, or its size, the host needs: of item, float, int, bool, if, unique and others."""
BY_PLACES = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)
"""Operations for which the host must count a mask first."""


class HostWaits(TorchDispatchMode):
    """Lists in `found` what waits while the block runs and it is `watching`.

    `calls` counts calls of methods that are watched.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.found: list[str] = []
        self.calls = 0
        self.watching = False
        for owner, name in ((Tensor, "tolist"), (Tensor, "cpu"), (torch, "tensor"), (torch, "as_tensor")):
            patch.setattr(owner, name, self._listed(getattr(owner, name), name))

    def _listed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            # A tensor of numbers is made on the host, and then waits for its copy if a device is named.
            if self.watching and (name in ("tolist", "cpu") or "device" in named):
                self.found.append(name)
            return function(*arguments, **named)

        return watched

    def wrap(self, patch: pytest.MonkeyPatch, owner: type, name: str, *, watched: bool) -> None:
        """Watch while a method runs, or do not."""
        method = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            before, self.watching = self.watching, watched
            self.calls += watched
            try:
                return method(*arguments, **named)
            finally:
                self.watching = before

        patch.setattr(owner, name, wrapped)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        masks = (value for value in tree_iter(args[1:2]) if isinstance(value, Tensor))
        masked = func.overloadpacket in BY_PLACES and any(mask.dtype == torch.bool for mask in masks)
        if self.watching and (func.overloadpacket in READS or masked):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))
