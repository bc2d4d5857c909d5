from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from face_analysis.auditing import similarity
from face_analysis.auditing.similarity import Groups, near_across, near_copies

Vectors = Callable[[int, int], np.ndarray]
SIZE = 256


@pytest.mark.parametrize("block", [7, 64, 2048])
def test_blocks_find_the_pairs_of_a_plain_loop(
    unit_rows: Vectors, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(similarity, "BLOCK", block)
    rows = unit_rows(90, SIZE)
    sign = np.where(np.arange(SIZE) % 2, -1, 1)
    rows[5] = rows[80] * sign  # the cosine transform of the mirrored picture
    expected = {}
    for one, other in itertools.combinations(range(len(rows)), 2):
        straight, mirrored = float(rows[one] @ rows[other]), float(rows[one] @ (rows[other] * sign))
        if max(straight, mirrored) >= 0.3:
            expected[one, other] = (max(straight, mirrored), mirrored > straight)
    found = [pair for near in near_copies(rows, 0.3) for pair in zip(*astuple(near), strict=True)]
    assert len(found) == len(expected) > 30
    assert expected[5, 80][1]
    for one, other, alike, mirrored in found:
        assert expected[one, other] == (pytest.approx(alike, abs=1e-5), mirrored)


@pytest.mark.parametrize("block", [7, 2048])
def test_across_parts_only_pairs_of_different_parts_are_found(
    unit_rows: Vectors, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(similarity, "BLOCK", block)
    rows, parts = unit_rows(60, 16), np.random.default_rng(0).integers(0, 3, 60)
    expected = {
        (one, other)
        for one, other in itertools.combinations(range(60), 2)
        if parts[one] != parts[other] and rows[one] @ rows[other] >= 0.4
    }
    found = [
        pair
        for near in near_across(rows, parts, 0.4)
        for pair in zip(near.first.tolist(), near.second.tolist(), strict=True)
    ]
    assert len(found) == len(expected) > 0
    assert set(found) == expected


def test_nothing_is_near_where_there_is_nothing() -> None:
    for count in (0, 4):
        assert not sum(len(near.first) for near in near_copies(np.zeros((count, SIZE), np.float32), 0.5))


@pytest.mark.parametrize("edges", [0, 20, 90, 400])
@pytest.mark.parametrize("parts", [1, 7])
def test_groups_are_the_connected_components(edges: int, parts: int) -> None:
    count, rng = 200, np.random.default_rng(edges)
    first, second = rng.integers(0, count, (2, edges))
    groups = Groups(count)
    for some in np.array_split(np.arange(edges), parts):
        groups.join(first[some], second[some])
    group = groups.smallest()
    _, expected = connected_components(coo_array((np.ones(edges), (first, second)), (count, count)), False)
    for label in np.unique(expected):
        members = np.flatnonzero(expected == label)
        assert set(group[members].tolist()) == {members.min()}


def test_a_long_chain_in_any_order_is_one_group() -> None:
    order = np.random.default_rng(0).permutation(999)
    groups = Groups(1000)
    groups.join(order + 1, order)
    assert not groups.smallest().any()
