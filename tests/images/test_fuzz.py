"""A short run of what `benchmarks/fuzz_decode.py` does at length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from benchmarks.fuzz_decode import ANSWERS, SHARES, damaged, outcome_of
from face_analysis.errors import UnreadableImageError
from face_analysis.images.decode import check, decode
from tests.generators.image_seeds import seeds

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged metadata


@pytest.fixture(scope="module")
def whole() -> dict[str, list[bytes]]:
    return seeds()


@pytest.mark.parametrize("form", SHARES)
def test_damaged_images_give_pixels_or_the_named_error(form: str, whole: dict[str, list[bytes]]) -> None:
    outcomes = Counter(outcome_of(damaged(form, whole[form], 1, number)) for number in range(250))
    assert set(outcomes) == set(ANSWERS)
    assert min(outcomes.values()) >= 10


@pytest.mark.parametrize("form", SHARES)
def test_a_check_refuses_what_decoding_refuses_for_the_same_reason(
    form: str, whole: dict[str, list[bytes]]
) -> None:
    def refusal(function: Callable[[bytes, str], object], data: bytes) -> str:
        try:
            function(data, "image")
        except UnreadableImageError as error:
            return str(error)
        return ""

    for number in range(100):
        data = damaged(form, whole[form], 2, number)
        assert refusal(check, data) == refusal(decode, data)
