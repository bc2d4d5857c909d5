from __future__ import annotations

import numpy as np
import pytest

from face_analysis.evaluation.templates import TemplatePool


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_templates_are_pooled_as_a_plain_loop_pools_them(batch: int) -> None:
    rng = np.random.default_rng(0)
    template, media = rng.integers(0, 9, 80), rng.integers(0, 4, 80)
    embeddings = rng.normal(size=(80, 5)).astype(np.float32)
    unreadable = [row for row in range(80) if template[row] == 4 or row % 11 == 0]
    pool = TemplatePool(template, media, 5)
    rows = [row for row in rng.permutation(80).tolist() if row not in unreadable]
    for start in range(0, len(rows), batch):
        part = np.array(rows[start : start + batch])
        pool.add(part, embeddings[part])
    found, there = pool.templates()
    for number in range(9):
        sums = np.zeros(5)
        for one in range(4):
            of_media = [row for row in rows if template[row] == number and media[row] == one]
            if of_media:
                sums += sum(embeddings[row].astype(float) for row in of_media) / len(of_media)
        assert there[number] == (number != 4)
        length = np.sqrt((sums**2).sum())
        np.testing.assert_allclose(found[number], sums / length if length else 0, atol=1e-6)


def test_media_of_the_same_number_in_two_templates_are_two() -> None:
    pool = TemplatePool(np.array([0, 0, 1]), np.array([5, 6, 5]), 2)
    pool.add(np.arange(3), np.array([[1, 0], [0, 1], [0, 2]], np.float32))
    np.testing.assert_allclose(pool.templates()[0], [[np.sqrt(0.5), np.sqrt(0.5)], [0, 1]])
