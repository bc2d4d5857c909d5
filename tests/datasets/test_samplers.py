from __future__ import annotations

from itertools import chain

import pytest

from face_analysis.datasets.samplers import GlobalBatches


def epoch(batches: GlobalBatches, number: int = 0) -> list[list[int]]:
    batches.set_epoch(number)
    return list(batches)


def test_every_row_comes_once_an_epoch_in_an_order_that_seed_and_epoch_fix() -> None:
    first, again = GlobalBatches(103, 10, shuffle=True, seed=4), GlobalBatches(103, 10, shuffle=True, seed=4)
    order = epoch(first, 2)
    assert sorted(chain(*order)) == list(range(103))
    assert order == epoch(again, 2)
    assert order != epoch(again, 3)
    assert order != epoch(GlobalBatches(103, 10, shuffle=True, seed=5), 2)
    assert len(first) == len(order) == 11


@pytest.mark.parametrize("world", [2, 3])
def test_several_processes_together_see_the_batches_of_one(world: int) -> None:
    alone = epoch(GlobalBatches(96, 12, shuffle=True, seed=1), 5)
    shares = [
        epoch(GlobalBatches(96, 12, shuffle=True, seed=1, rank=r, world=world), 5) for r in range(world)
    ]
    for step, batch in enumerate(alone):
        assert sorted(batch) == sorted(chain(*(share[step] for share in shares)))


def test_a_start_skips_batches_once() -> None:
    batches = GlobalBatches(40, 8, shuffle=True)
    whole = list(batches)
    batches.start = 3
    assert list(batches) == whole[3:]
    assert list(batches) == whole


def test_a_last_batch_of_one_is_filled_up_when_training_and_kept_when_validating() -> None:
    assert [len(batch) for batch in GlobalBatches(9, 4, shuffle=True)] == [4, 4, 2]
    assert list(GlobalBatches(9, 4, shuffle=False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
