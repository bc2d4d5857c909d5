from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from face_analysis.datasets.samplers import ClassBatches, GlobalBatches, PeopleBatches
from face_analysis.errors import EmptyDataError, UsageError


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


@pytest.mark.parametrize("count", [96, 97, 98])
@pytest.mark.parametrize("world", [2, 3])
def test_several_processes_together_see_the_batches_of_one(world: int, count: int) -> None:
    alone = epoch(GlobalBatches(count, 12, shuffle=True, seed=1), 5)
    shares = [
        epoch(GlobalBatches(count, 12, shuffle=True, seed=1, rank=r, world=world), 5) for r in range(world)
    ]
    for step, batch in enumerate(alone):
        assert sorted(batch) == sorted(chain(*(share[step] for share in shares)))


@pytest.mark.parametrize("world", [2, 3, 8])
def test_no_process_gets_one_row_alone_of_a_batch(world: int) -> None:
    """Batch norm cannot learn from one: here of every size from 2 rows on."""
    for size in range(2, 3 * world):
        shares = [
            epoch(GlobalBatches(size, size, shuffle=True, rank=rank, world=world))[0] for rank in range(world)
        ]
        assert sorted(chain(*shares)) == list(range(size))
        assert 1 not in map(len, shares)
        assert max(map(len, shares)) <= max(3, -(-size // world))


def test_a_start_skips_rows_once() -> None:
    batches = GlobalBatches(40, 8, shuffle=True)
    whole = list(batches)
    batches.start = 24
    assert list(batches) == whole[3:]
    assert list(batches) == whole


def rest(batches: GlobalBatches, seen: int, number: int = 0) -> list[list[int]]:
    batches.start = seen
    return epoch(batches, number)


@pytest.mark.parametrize("count", [30, 31])
@pytest.mark.parametrize("first", [4, 5, 7])
def test_an_epoch_broken_off_ends_in_batches_of_another_size_with_every_row_seen_once(
    count: int, first: int
) -> None:
    for second in range(2, count + 3):
        for done in range(1, -(-count // first)):
            before = epoch(GlobalBatches(count, first, shuffle=True, seed=2), 3)[:done]
            batches = GlobalBatches(count, second, shuffle=True, seed=2)
            after = rest(batches, done * first, 3)
            whole = epoch(batches, 3)
            seen = list(chain(*before, *after))
            assert sorted(seen[:count]) == list(range(count))
            assert seen[count:] in ([], whole[0][:1])  # what fills up a last batch of one
            assert len(seen) == count or 1 in (count - done * first, count % second)
            assert len(after) == len(whole) - batches.batches_before(done * first)
            assert after[1:] == whole[len(whole) - len(after) + 1 :]
            assert all(len(batch) > 1 for batch in after)


def test_an_epoch_of_people_broken_off_ends_with_the_people_not_yet_seen() -> None:
    labels, batches = people_of()
    for people in (2, 3, 5, 7):
        other = PeopleBatches(labels, people, 3)
        after = rest(other, 2 * 12, 4)
        before = set(labels[list(chain(*epoch(batches, 4)[:2]))])
        drawn = [labels[row] for row in chain(*after)]
        order = list(dict.fromkeys(drawn))
        assert set(order[: 22 - 8]) == set(range(0, 220, 10)) - before
        assert all(set(Counter(labels[batch].tolist()).values()) == {3} for batch in after)
        assert after[1:] == epoch(other, 4)[len(other) - len(after) + 1 :]


def test_a_last_batch_of_one_is_filled_up_when_training_and_kept_when_validating() -> None:
    assert [len(batch) for batch in GlobalBatches(9, 4, shuffle=True)] == [4, 4, 2]
    assert list(GlobalBatches(9, 4, shuffle=False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


LABELS = np.array([2] * 70 + [0] * 3 + [-1] * 9 + [5] * 21)


def test_every_class_is_drawn_equally_often_and_over_epochs_every_row_of_it() -> None:
    batches = ClassBatches(LABELS, 10, seed=3)
    drawn: Counter[int] = Counter()
    for number in range(40):
        order = list(chain(*epoch(batches, number)))
        classes = Counter(LABELS[order].tolist())
        assert set(classes) == {0, 2, 5}
        # 103 draws an epoch; the last batch of three is whole
        assert max(classes.values()) - min(classes.values()) <= 1
        drawn.update(order)
    for code in (0, 2, 5):
        times = [drawn[row] for row, label in enumerate(LABELS) if label == code]
        assert max(times) - min(times) <= 1
    assert sum(drawn.values()) == 40 * len(LABELS)
    assert not any(drawn[row] for row, label in enumerate(LABELS) if label < 0)


def test_a_balanced_batch_is_balanced_and_so_is_the_share_of_each_process() -> None:
    labels = np.array([0] * 900 + [1] * 60 + [2] * 40)
    shares: Counter[int] = Counter()
    for batch in epoch(ClassBatches(labels, 30), 1)[:-1]:
        counts = Counter(labels[batch].tolist())
        assert max(counts.values()) - min(counts.values()) <= 2
    for batch in epoch(ClassBatches(labels, 30, rank=1, world=3), 1):
        shares.update(labels[batch].tolist())
    assert min(shares.values()) > 0.7 * max(shares.values())


def people_of(seed: int = 0, **place: int) -> tuple[np.ndarray, PeopleBatches]:
    """22 people with 1 to 12 images, in mixed order, 4 people by 3 images a batch."""
    rng = np.random.default_rng(8)
    sizes = [1, 2, 3, 4, 12, *rng.integers(1, 13, 17)]
    labels = rng.permutation(np.repeat([-1, *(10 * np.arange(22))], [5, *sizes]))
    return labels, PeopleBatches(labels, 4, 3, seed=seed, **place)


def test_a_batch_of_people_has_its_images_of_each_and_repeats_only_where_they_are_too_few() -> None:
    labels, batches = people_of()
    sizes = Counter(labels.tolist())
    for number in range(5):
        order = epoch(batches, number)
        assert len(order) == len(batches) == 6
        for batch in order:
            assert set(Counter(labels[batch].tolist()).values()) == {3}
            for person in set(labels[batch].tolist()):
                own = [row for row in batch if labels[row] == person]
                assert len(set(own)) == min(3, sizes[person])
        drawn = [person for batch in order for person in set(labels[batch].tolist())]
        assert set(drawn) == set(range(0, 220, 10))
        assert len(drawn) == 24


def test_over_the_epochs_all_images_of_a_person_are_seen() -> None:
    labels, batches = people_of()
    twelve = np.flatnonzero(labels == 40).tolist()
    seen = [set(chain(*epoch(batches, number))) & set(twelve) for number in range(4)]
    assert set.union(*seen) == set(twelve)
    assert [len(rows) for rows in seen] == [3, 3, 3, 3]


def test_a_process_gets_whole_people_where_their_number_allows() -> None:
    labels, batches = people_of(rank=1, world=2)
    for batch in epoch(batches):
        assert set(Counter(labels[batch].tolist()).values()) == {3}


@pytest.mark.parametrize("make", [ClassBatches, PeopleBatches])
def test_balanced_orders_keep_what_global_batches_promise(make: type[GlobalBatches]) -> None:
    def batches(**options: int) -> GlobalBatches:
        return make(LABELS, *((12,) if make is ClassBatches else (2, 6)), **options)  # type: ignore[call-overload]

    alone = epoch(batches(seed=1), 5)
    assert alone == epoch(batches(seed=1), 5)
    assert alone != epoch(batches(seed=2), 5)
    assert alone != epoch(batches(seed=1), 6)
    shares = [epoch(batches(seed=1, rank=rank, world=3), 5) for rank in range(3)]
    for step, batch in enumerate(alone):
        assert sorted(batch) == sorted(chain(*(share[step] for share in shares)))
    resumed = batches(seed=1)
    resumed.set_epoch(5)
    resumed.start = 12
    assert list(resumed) == alone[1:]
    assert list(resumed) == alone


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(EmptyDataError, match="known class"):
        ClassBatches(np.full(4, -1), 2)
    with pytest.raises(UsageError, match="there are 3 people"):
        PeopleBatches(LABELS, 4, 2)
