"""Batches on their way from the loader to the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from face_analysis.datasets.faces import FaceBatch
from face_analysis.distributed import begin_gather_count, world_size
from face_analysis.training.data import BatchLoader


class Feeder:
    """The batches of a loader on the device, each with the numbers of images of all processes.

    While a batch is learnt from, the next one is copied to a GPU from pinned memory, on a stream of its own,
    and the processes tell each other how many images they have of it. One process on the CPU gets the
    batches as they are.
    """

    def __init__(self, loader: BatchLoader, device: torch.device) -> None:
        self.loader, self.device = loader, device
        cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if cuda else None  # type: ignore[no-untyped-call]

    def __iter__(self) -> Iterator[FaceBatch]:
        if self._stream is None and world_size() == 1:
            yield from (batch.to(self.device) for batch in self.loader)
            return
        ahead: Callable[[], FaceBatch] | None = None
        for batch in self.loader:
            coming = self._begin(batch)
            if ahead is not None:
                yield ahead()
            ahead = coming
        if ahead is not None:
            yield ahead()

    def _begin(self, batch: FaceBatch) -> Callable[[], FaceBatch]:
        """Begin to send a batch; gives what hands it over."""
        counts = begin_gather_count(len(batch.images))
        with torch.cuda.stream(self._stream):  # of no effect without one
            moved = batch.to(self.device, non_blocking=True)

        def hand_over() -> FaceBatch:
            if self._stream is not None:
                computing = torch.cuda.current_stream(self.device)
                computing.wait_stream(self._stream)
                for tensor in moved[:3]:
                    tensor.record_stream(computing)  # its memory is not given away before it was used
            return moved._replace(counts=counts())

        return hand_over
