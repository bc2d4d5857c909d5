from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from face_analysis.datasets.faces import FaceBatch
from face_analysis.distributed import all_gather_objects, all_gather_rows, all_reduce_largest, rank
from face_analysis.training.feeding import Feeder
from face_analysis.training.notes import Note, non_finite_loss, read
from tests.training.processes import together

CPU = torch.device("cpu")
SIZES = [[3, 4, 0, 2], [3, 3, 5, 0]]
"""Images of each of two processes in four batches."""


class Batches:
    """A loader that notes how many batches it has given."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes, self.given = sizes, 0

    def __iter__(self) -> Iterator[FaceBatch]:
        for number, size in enumerate(self.sizes):
            self.given += 1
            indices = torch.arange(size) + 100 * number + 10 * rank()
            yield FaceBatch(torch.full((size, 3, 2, 2), number), indices[:, None] * 2, indices, [])


def test_one_process_on_the_cpu_gets_the_batches_as_they_come() -> None:
    loader = Batches([3, 0, 5])
    for number, batch in enumerate(Feeder(loader, CPU)):  # type: ignore[arg-type]
        assert loader.given == number + 1
        assert batch.rows is not None
        assert (
            batch.rows.tolist()
            == batch.indices.tolist()
            == [100 * number + each for each in range(len(batch.images))]
        )
        assert torch.equal(batch.labels, batch.indices[:, None] * 2)


def fed() -> list[dict[str, Any]]:
    loader = Batches(SIZES[rank()])
    found = []
    for batch in Feeder(loader, CPU):  # type: ignore[arg-type]
        everyones = all_gather_rows(batch.indices, batch.counts)
        found.append({"counts": list(batch.counts), "given": loader.given, "everyones": everyones})
    return found


def test_several_processes_know_each_others_numbers_before_a_batch_is_learnt_from(tmp_path: Path) -> None:
    for batches in together(fed, 2, tmp_path):
        assert [batch["counts"] for batch in batches] == [list(pair) for pair in zip(*SIZES, strict=True)]
        assert [batch["given"] for batch in batches] == [2, 3, 4, 4]  # the next one is on its way
        for number, batch in enumerate(batches):
            first, second = batch["counts"]
            rows = [*range(first), *range(10, 10 + second)]
            assert batch["everyones"].tolist() == [100 * number + row for row in rows]


def notes() -> list[Note]:
    """Three steps of a process; the first one's loss at step 6 is not finite, the second one's at step 5."""
    broken = 6 - rank()
    return [
        Note(
            *(1, step, np.array([step, 10 + rank()]), True),
            {"learning_rate": 0.5, "train_loss": torch.tensor(float("nan") if step >= broken else step / 2)},
        )
        for step in (4, 5, 6)
    ]


def told() -> list[Any]:
    found = read(notes())
    message = str(non_finite_loss(found, "image {}".format))
    largest = all_reduce_largest(rank(), 5 - rank(), 0)
    return [message, largest, all_gather_objects(rank())]


def test_a_note_is_read_as_the_numbers_it_had() -> None:
    found = read(notes())
    assert [note.measures["train_loss"] for note in found[:2]] == [2.0, 2.5]
    assert [note.finite for note in found] == [True, True, False]
    assert all(note.measures["learning_rate"] == 0.5 for note in found)
    assert read([]) == []


@pytest.mark.slow
def test_all_processes_tell_of_the_first_step_of_any_whose_loss_is_not_finite(tmp_path: Path) -> None:
    first, second = together(told, 2, tmp_path)
    assert first == second
    assert first[0].startswith(
        "the loss is not finite at step 5 (epoch 1; train_loss nan), learning rate 0.5, images image 5, "
        "image 11;"
    )
    assert first[1:] == [[1, 5, 0], [0, 1]]
