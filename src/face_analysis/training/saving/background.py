"""Checkpoint files, written while the training goes on."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from face_analysis.files import whole_file

Form = tuple[torch.dtype, torch.Size, tuple[int, ...]]


class CheckpointWriter:
    """Checkpoint files, written by a thread from a copy, synced and renamed when whole.

    A full disk or a killed process leaves the old file. Each method raises the WriteError of the checkpoint
    saved before, and so does the end of the block, when all are written.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._working: Future[None] | None = None
        self._copies: list[Tensor] = []
        self._free: dict[Form, list[Tensor]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        try:
            if error is None:
                self.finish()
        finally:
            # A process that is forked later does not have this memory: to free it there would unmap other.
            self._copies, self._free, self._working = [], {}, None

    def reserve(self, tensors: Sequence[Tensor]) -> None:
        """Take the memory for copies of these beforehand: to get fresh memory takes longer than to copy."""
        for tensor in tensors:
            self._free.setdefault(_form(tensor), []).append(_memory_like(tensor).zero_())

    def save(self, checkpoint: dict[str, Any], paths: Sequence[Path]) -> None:
        """Copy a checkpoint, once the one before is written, and go on while it is written to each path."""
        self.finish()
        copied = apply_to_collection(checkpoint, Tensor, self._copy)
        self._working = self._thread.submit(_write, copied, paths)

    def _copy(self, tensor: Tensor) -> Tensor:
        free = self._free.get(_form(tensor))
        copy = free.pop() if free else _memory_like(tensor)
        self._copies.append(copy)
        return copy.copy_(tensor.detach())

    def poll(self) -> None:
        """Raise the WriteError of a save that has ended; do nothing while one goes on."""
        if self._working is not None and self._working.done():
            self.finish()

    def finish(self) -> None:
        """Wait until the last checkpoint is written."""
        working, self._working = self._working, None
        if working is not None:
            working.result()
        for copy in self._copies:
            self._free.setdefault(_form(copy), []).append(copy)
        self._copies = []


def _form(tensor: Tensor) -> Form:
    return tensor.dtype, tensor.shape, tensor.stride()


def _memory_like(tensor: Tensor) -> Tensor:
    """Memory in large pages that processes forked later, those that load images, do not have.

    A page that they share is copied once more when it is written to: 350 MB then took 1.4 s.
    """
    layout = torch.empty_like(tensor, device="meta")
    if tensor.numel() == 0:
        return torch.empty_like(layout, device="cpu")
    memory = mmap.mmap(-1, tensor.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for advice in ("MADV_DONTFORK", "MADV_HUGEPAGE"):
        with suppress(AttributeError, OSError):  # other systems and kernels do without
            memory.madvise(getattr(mmap, advice))
    numbers = torch.frombuffer(memory, dtype=tensor.dtype)
    return numbers.as_strided(layout.shape, layout.stride())


def _write(checkpoint: dict[str, Any], paths: Sequence[Path]) -> None:
    for path in paths:
        with whole_file(path) as partial, partial.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # torch hides the reason of a failed write
                    raise error.__context__ from None
                raise
