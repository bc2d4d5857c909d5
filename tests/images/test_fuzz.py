"""A short run of what `benchmarks/fuzz_decode.py` does at length."""

from __future__ import annotations

from collections import Counter

import pytest
from fuzz_decode import ANSWERS, SHARES, damaged, outcome_of
from image_seeds import seeds


@pytest.fixture(scope="module")
def whole() -> dict[str, list[bytes]]:
    return seeds()


@pytest.mark.parametrize("form", SHARES)
def test_damaged_images_give_pixels_or_the_named_error(form: str, whole: dict[str, list[bytes]]) -> None:
    outcomes = Counter(outcome_of(damaged(form, whole[form], 1, number)) for number in range(250))
    assert set(outcomes) == set(ANSWERS)
    assert min(outcomes.values()) >= 10
