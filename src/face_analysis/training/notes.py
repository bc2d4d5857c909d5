"""What steps gave, kept on the device until the host looks: it then waits once for many steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.distributed import all_gather_objects
from face_analysis.errors import NonFiniteLossError

TRAIN_LOSS = "train_loss"


@dataclass(frozen=True)
class Note:
    """The measures of one pass of a step, before the weights moved: numbers, or tensors () on the device.

    `rows` are the images that this process learnt from; `logged` says that the measures go into the log.
    """

    epoch: int
    step: int
    rows: NDArray[np.int64]
    logged: bool
    measures: Mapping[str, Any]

    @property
    def finite(self) -> bool:
        """Whether its loss is a finite number; so is a loss that was not taken."""
        return bool(np.isfinite(self.measures.get(TRAIN_LOSS, 0.0)))


def read(notes: Iterable[Note]) -> list[Note]:
    """The notes with numbers in place of tensors, for which the host waits once."""
    notes = list(notes)
    tensors = [value for note in notes for value in note.measures.values() if isinstance(value, Tensor)]
    numbers = iter(torch.stack(tensors).tolist() if tensors else ())

    def number(value: Any) -> Any:
        return next(numbers) if isinstance(value, Tensor) else value

    return [
        replace(note, measures={name: number(value) for name, value in note.measures.items()})
        for note in notes
    ]


def non_finite_loss(notes: Iterable[Note], image_name: Callable[[int], str]) -> NonFiniteLossError:
    """The error of the first note without a finite loss, with the images of all processes.

    Every process calls it; one of them has such a note at least. `image_name` gives what a row is called.
    """
    own = next((note for note in notes if not note.finite), None)
    everyones = [note for note in all_gather_objects(own) if note is not None]
    first = min(everyones, key=lambda note: note.step)
    parts = {name: value for name, value in first.measures.items() if name != "learning_rate"}
    values = ", ".join(f"{name} {value:g}" for name, value in parts.items())
    names = [image_name(row) for note in everyones if note.step == first.step for row in note.rows.tolist()]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return NonFiniteLossError(
        f"the loss is not finite at step {first.step} (epoch {first.epoch}; {values}), "
        f"learning rate {first.measures['learning_rate']:g}, images {shown}; lower --lr, or look at these "
        "images; the last checkpoint is kept"
    )
