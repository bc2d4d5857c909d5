from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from face_analysis.inference.embedder import WithMirror
from face_analysis.inference.embeddings import faults
from face_analysis.matching.features.feature_set import ALL_ZERO, NOT_FINITE, unit_rows


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_rows_get_the_length_1_that_a_plain_loop_gives_them(dtype: type, scale: float) -> None:
    rows = (np.random.default_rng(0).normal(size=(5, 7)) * scale).astype(dtype)
    for row, unit in zip(rows.tolist(), unit_rows(rows), strict=True):
        length = math.sqrt(sum(value * value for value in row))
        assert unit == pytest.approx([value / length for value in row], abs=1e-6)
    assert faults(unit_rows(rows)) == {}


def test_rows_too_large_for_the_square_of_float32_have_a_length_too() -> None:
    np.testing.assert_allclose(unit_rows(np.array([[3e30, 4e30]], np.float32)), [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_without_a_direction_are_told_by_their_reason(value: float) -> None:
    rows = np.array([[1, 2], [0, 0], [value, 1], [3, 4], [value, value]], np.float32)
    assert faults(unit_rows(rows)) == {1: ALL_ZERO, 2: NOT_FINITE, 4: NOT_FINITE}


class Corner:
    """Embeds a chip as the values of its upper left pixel; of black ones it has nothing to say."""

    size, side = 3, 4

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        return unit_rows(chips[:, 0, 0].astype(np.float32))


def test_a_mirrored_embedding_is_none_where_either_is_none() -> None:
    chips = np.full((4, 4, 4, 3), 9, np.uint8)
    chips[1, 0, 0] = chips[2, 0, -1] = chips[3, 0, (0, -1)] = 0
    assert faults(WithMirror(Corner()).embed(chips)) == {1: ALL_ZERO, 2: ALL_ZERO, 3: ALL_ZERO}
