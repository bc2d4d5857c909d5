from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from face_analysis.datasets.pairs.pairs import Pairs
from face_analysis.datasets.pairs.sets import PairSet
from face_analysis.files import FailureLog
from face_analysis.inference.embedder import WithMirror
from face_analysis.inference.verify import verify_set
from face_analysis.matching.features.feature_set import unit_rows


class LeftHalf:
    """Embeds a chip as the mean colours of its left half, less the middle grey."""

    size, side = 3, 112

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(chips))
        return unit_rows(chips[:, :, :56].mean(axis=(1, 2)).astype(np.float32) - 127.5)


@pytest.fixture
def failures(tmp_path: Path) -> FailureLog:
    return FailureLog(tmp_path / "errors.csv")


def pair_set() -> PairSet:
    generator = np.random.default_rng(0)
    people = generator.integers(0, 256, (20, 3))
    images = np.repeat(people, 2, axis=0)[:, None, None] + generator.normal(0, 40, (40, 112, 112, 3))
    images[:, :, 56:] = generator.integers(0, 256, (40, 1, 1, 3))
    first, second = generator.integers(0, 40, 300), generator.integers(0, 40, 300)
    first[::2], second[::2] = 2 * (first[::2] // 2), 2 * (first[::2] // 2) + 1
    pairs = Pairs(first, second, first // 2 == second // 2, np.arange(300) // 30)
    found = np.ones(40, np.bool_)
    found[:3] = False
    pixels = images.clip(0, 255).astype(np.uint8)
    return PairSet(Path("sets/people.bin"), pixels, pairs, [f"{row}" for row in range(40)], found)


@pytest.mark.parametrize("mirror", [False, True])
def test_pairs_are_scored_by_the_cosine_of_their_embeddings(mirror: bool, failures: FailureLog) -> None:
    given, embedder = pair_set(), LeftHalf()
    report = verify_set(given, WithMirror(embedder) if mirror else embedder, failures, batch_size=7)
    mated, non_mated = [], []
    for first, second, same in zip(given.pairs.first, given.pairs.second, given.pairs.same, strict=True):
        vectors = []
        for image in (given.images[first], given.images[second]):
            halves = [image[:, :56], image[:, 56:][:, ::-1]] if mirror else [image[:, :56]]
            means = [half.reshape(-1, 3).mean(axis=0) - 127.5 for half in halves]
            vectors.append(sum(mean / np.linalg.norm(mean) for mean in means))
        score = vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1])
        (mated if same else non_mated).append(score)
    assert (report.name, report.images, report.faces_missed) == ("people", 40, 3)
    assert (report.curve.mated, report.curve.non_mated) == (len(mated), len(non_mated))
    for threshold, fmr, fnmr in zip(
        report.curve.thresholds[::17], report.curve.fmr[::17], report.curve.fnmr[::17], strict=True
    ):
        assert fmr == pytest.approx(np.mean(np.array(non_mated) >= threshold - 1e-6), abs=0.02)
        assert fnmr == pytest.approx(np.mean(np.array(mated) < threshold - 1e-6), abs=0.02)
    assert max(embedder.batches) == 7


def test_rates_that_the_pairs_cannot_tell_are_null_in_the_file(failures: FailureLog) -> None:
    given = pair_set()
    table = verify_set(given, LeftHalf(), failures).to_dict()["tar_at_far"]
    non_mated = int((~given.pairs.same).sum())
    assert 10 <= non_mated * 0.1 < 100
    assert [name for name, rates in table.items() if rates is not None] == ["1e-01"]
    assert set(table) == {"1e-01", "1e-02", "1e-03", "1e-04", "1e-05", "1e-06"}
