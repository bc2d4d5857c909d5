from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from face_analysis.matching.comparison import Comparison, compare
from face_analysis.matching.features.feature_set import open_feature_set
from face_analysis.matching.score_files import write_scores
from tests.matching.feature_sets import SIZE, AllPairs, all_pairs, people


@pytest.fixture(scope="module", params=["probes", "gallery"])
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Comparison, AllPairs]:
    folder = tmp_path_factory.mktemp("sets")
    one, other = people(700, seed=2), people(400, seed=3, first=50)
    sets = [open_feature_set(each.write(folder / name)) for each, name in ((one, "a"), (other, "b"))]
    if request.param == "probes":
        return compare(sets[0]), all_pairs(one)
    return compare(*sets), all_pairs(one, other)


@pytest.mark.parametrize("memory", [1e9, 1e5], ids=["one block", "many blocks"])
def test_the_arrays_hold_the_rows_and_scores_of_all_pairs_in_order(
    case: tuple[Comparison, AllPairs], tmp_path: Path, memory: float
) -> None:
    comparison, expected = case
    looked_at: list[int] = []
    write_scores(comparison, "npy", tmp_path / "out" / "G", memory, looked_at.append)
    assert sum(looked_at) == comparison.pairs
    scores = np.round(expected.product / SIZE, 6)
    for name, mated in (("authentic", True), ("impostor", False)):
        rows = expected.mated == mated
        wanted = np.stack([expected.probe, expected.gallery, scores])[:, rows].T
        np.testing.assert_array_equal(np.load(tmp_path / "out" / f"G_{name}.npy"), wanted)
    lines = "".join(f"{row} {path}\n" for row, path in enumerate(comparison.probes.features.paths))
    assert (tmp_path / "out" / "G_labels.txt").read_text() == lines
    assert (tmp_path / "out" / "G_gallery_labels.txt").exists() != comparison.within


def test_parquet_holds_the_same(case: tuple[Comparison, AllPairs], tmp_path: Path) -> None:
    comparison, expected = case
    write_scores(comparison, "parquet", tmp_path / "G", 1e6)
    table = pq.read_table(tmp_path / "G_scores.parquet")
    np.testing.assert_array_equal(table["probe"], expected.probe)
    np.testing.assert_array_equal(table["gallery"], expected.gallery)
    np.testing.assert_array_equal(table["score"], np.round(expected.product / SIZE, 6))
    np.testing.assert_array_equal(table["mated"], expected.mated)
