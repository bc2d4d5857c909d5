from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.pairs.pairs import draw_pairs
from face_analysis.errors import EmptyDataError, UsageError


def listed(sizes: list[int]) -> ImageList:
    names = [f"p{person}/{number}" for person, size in enumerate(sizes) for number in range(size)]
    people = [name.split("/")[0] for name in names]
    return ImageList(Path("people.csv"), names, {}, {"subject": people})


def person(name: str) -> str:
    return name.split("/")[0]


def test_pairs_are_what_they_say_and_come_once() -> None:
    pairs = draw_pairs(listed([5] * 60), 20, seed=1)
    assert Counter((pair.fold, pair.same) for pair in pairs) == {
        (fold, same): 20 for fold in range(10) for same in (True, False)
    }
    assert all((person(pair.first) == person(pair.second)) == pair.same for pair in pairs)
    assert len({frozenset(pair[:2]) for pair in pairs}) == len(pairs) == 400


def test_no_person_is_in_two_folds() -> None:
    folds: dict[str, set[int]] = {}
    for pair in draw_pairs(listed([3] * 40), 100, seed=2):
        for name in pair[:2]:
            folds.setdefault(person(name), set()).add(pair.fold)
    assert set(map(len, folds.values())) == {1}


def test_few_images_give_every_pair_of_one_person_and_as_many_of_two() -> None:
    sizes = [4, 2, 3] * 10
    pairs = draw_pairs(listed(sizes), 1000, seed=3)
    same = {frozenset(pair[:2]) for pair in pairs if pair.same}
    every = listed(sizes)
    by_person: dict[str, list[str]] = {}
    for name in every.images:
        by_person.setdefault(person(name), []).append(name)
    assert same == {frozenset(pair) for names in by_person.values() for pair in combinations(names, 2)}
    for fold in range(10):
        kinds = Counter(pair.same for pair in pairs if pair.fold == fold)
        assert kinds[True] == kinds[False]


def test_within_a_fold_every_pair_of_one_person_is_as_likely() -> None:
    """Folds of one person with four images and one with two: seven pairs, of which three are drawn."""
    counts: Counter[bool] = Counter()
    for seed in range(200):
        pairs = draw_pairs(listed([4, 2] * 10), 3, seed)
        for fold in range(10):
            own = [pair for pair in pairs if pair.fold == fold]
            sizes = {int(person(name)[1:]) % 2 for pair in own for name in pair[:2]}
            if sizes == {0, 1}:
                counts.update(int(person(pair.first)[1:]) % 2 == 0 for pair in own if pair.same)
    assert counts[True] / counts[False] == pytest.approx(6, rel=0.15)


def test_a_seed_gives_the_same_pairs_and_another_others() -> None:
    assert draw_pairs(listed([5] * 30), 5, 7) == draw_pairs(listed([5] * 30), 5, 7)
    assert draw_pairs(listed([5] * 30), 5, 7) != draw_pairs(listed([5] * 30), 5, 8)


def test_classes_serve_as_people_and_unknown_ones_are_left_out() -> None:
    names = [f"p{number // 3}/{number}" for number in range(93)]
    classes = np.array([*np.repeat(np.arange(30), 3), -1, -1, -1])
    pairs = draw_pairs(ImageList(Path("list.txt"), names, {"class": classes}), 3, 0)
    assert {person(name) for pair in pairs for name in pair[:2]} == {f"p{number}" for number in range(30)}


def test_too_few_people_and_lists_without_people_are_refused() -> None:
    with pytest.raises(EmptyDataError, match="too few people"):
        draw_pairs(listed([1] * 50), 5, 0)
    with pytest.raises(EmptyDataError, match="too few people"):
        draw_pairs(listed([3] * 10), 5, 0)
    with pytest.raises(UsageError, match="subject"):
        draw_pairs(ImageList(Path("list.txt"), ["a", "b"]), 5, 0)
