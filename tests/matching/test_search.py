from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from face_analysis.errors import UsageError
from face_analysis.matching import faiss_index
from face_analysis.matching.candidates import NO_SCORE, outcomes_of, recall, records_of
from face_analysis.matching.comparison import Comparison, Records, compare
from face_analysis.matching.faiss_index import FaissIndex
from face_analysis.matching.features.feature_set import open_feature_set
from face_analysis.matching.search import search, search_sides
from tests.matching.feature_sets import SIZE, People, people, write_set

TOP = 7
Searched = tuple[Comparison, People, People]


@pytest.fixture(scope="module", params=["others", "itself"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """300 probes and a gallery of 1,100 that share copies, photos and people; or a set and itself."""
    folder = tmp_path_factory.mktemp("sets")
    probes = people(300, seed=8)
    gallery = people(1100, seed=9) if request.param == "others" else probes
    sets = [open_feature_set(each.write(folder / name)) for each, name in ((probes, "a"), (gallery, "b"))]
    return compare(*sets), probes, gallery


def whole(parts: Iterable[Records]) -> Records:
    return np.concatenate(list(parts))


def straight(probes: People, gallery: People, probe: int) -> list[tuple[int, int]]:
    """Product, as a whole number, and row of all that may be a candidate of a probe, best first."""
    products = gallery.signs @ probes.signs[probe]
    picture = probes.paths[probe].split("/")[-2:]
    rows = [row for row, path in enumerate(gallery.paths) if path.split("/")[-2:] != picture]
    return sorted(((int(products[row]), row) for row in rows), key=lambda pair: (-pair[0], pair[1]))


@pytest.mark.parametrize("memory", [1e9, 1e6], ids=["one block", "many blocks"])
def test_candidates_are_the_head_of_the_sorted_row_of_every_probe(case: Searched, memory: float) -> None:
    comparison, probes, gallery = case
    found = whole(search(comparison, np.arange(300), TOP, memory))
    assert found.shape == (300, TOP)
    for probe in range(300):
        expected = straight(probes, gallery, probe)[:TOP]
        assert found["row"][probe].tolist() == [row for _, row in expected]
        np.testing.assert_allclose(
            found["score"][probe] * SIZE, [product for product, _ in expected], atol=1e-6
        )


def test_a_search_may_begin_at_any_probe(case: Searched) -> None:
    all_of_them = whole(search(case[0], np.arange(300), TOP, 1e9))
    later = whole(search(case[0], np.arange(170, 300), TOP, 1e6))
    np.testing.assert_array_equal(later["row"], all_of_them["row"][170:])
    np.testing.assert_array_equal(later["score"], all_of_them["score"][170:])


def unit(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = rng.standard_normal((count, 64))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def compared(folder: Path, probes: NDArray[np.float32], gallery: NDArray[np.float32]) -> Comparison:
    sets = []
    for name, rows in (("probes", probes), ("gallery", gallery)):
        paths = [f"{name}/{row}.jpg" for row in range(len(rows))]
        sets.append(
            open_feature_set(write_set(folder / name, rows, {"path": paths, "subject": ["?"] * len(rows)}))
        )
    return compare(*sets)


@pytest.mark.parametrize("way", ["torch", "faiss, one list", "faiss, all lists"])
def test_candidates_of_any_embeddings_are_scikit_learns_neighbours(tmp_path: Path, way: str) -> None:
    rng = np.random.default_rng(0)
    probes, gallery = unit(rng, 130), unit(rng, 900)
    comparison = compared(tmp_path, probes, gallery)
    if way == "torch":
        found = whole(search(comparison, np.arange(130), 20, 1e6))
    else:
        index = FaissIndex(comparison, 1 if "one" in way else 9, 9, 1e9)
        assert index.exact
        found = whole(index.search(np.arange(130), 20))
    neighbours = NearestNeighbors(n_neighbors=20, metric="cosine", algorithm="brute")
    distances, rows = neighbours.fit(gallery.astype(np.float64)).kneighbors(probes.astype(np.float64))
    np.testing.assert_array_equal(found["row"], rows)
    np.testing.assert_allclose(found["score"], 1 - distances, atol=2e-9)


def test_a_gallery_of_one_embedding_and_one_with_too_few_rows_are_searched_whole(tmp_path: Path) -> None:
    one = np.eye(1, 8, dtype=np.float32)
    found = whole(search(compared(tmp_path / "same", one, np.repeat(one, 500, axis=0)), np.arange(1), 5, 1e5))
    assert found["row"].tolist() == [[0, 1, 2, 3, 4]]
    assert found["score"].tolist() == [[1.0] * 5]
    few = compared(tmp_path / "few", one, np.eye(3, 8, dtype=np.float32))
    for found in (
        whole(search(few, np.arange(1), 5, 1e9)),
        whole(FaissIndex(few, None, 32, 1e9).search(np.arange(1), 5)),
    ):
        assert found["row"].tolist() == [[0, 1, 2, -1, -1]]
        assert found["score"].tolist() == [[1.0, 0.0, 0.0, NO_SCORE, NO_SCORE]]
        assert [record["rows"] for record in records_of(found)] == [[0, 1, 2]]


def test_no_own_picture_is_a_candidate_of_faiss_and_its_scores_are_cosines(case: Searched) -> None:
    comparison, probes, gallery = case
    index = FaissIndex(comparison, None, 1, 1e9)
    assert not index.exact
    found = whole(index.search(np.arange(300), TOP))
    there = 0
    for probe in range(300):
        products = {row: product for product, row in straight(probes, gallery, probe)}
        rows = [row for row in found["row"][probe].tolist() if row >= 0]
        there += len(rows)
        assert [products[row] for row in rows] == sorted((products[row] for row in rows), reverse=True)
        np.testing.assert_allclose(found["score"][probe][: len(rows)] * SIZE, [products[row] for row in rows])
    assert there > 300


def test_recall_is_what_a_loop_counts(case: Searched, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison, probes, gallery = case
    monkeypatch.setattr(faiss_index, "SAMPLE", 100)
    index = FaissIndex(comparison, None, 2, 1e9)
    found = whole(index.search(np.arange(0, 300, 3), TOP))
    hits = wanted = 0
    for place, probe in enumerate(range(0, 300, 3)):
        last = straight(probes, gallery, probe)[:TOP][-1][0]
        hits += int((np.round(found["score"][place] * SIZE) >= last).sum())
        wanted += TOP
    told = index.recall(TOP, 1e9)
    assert told == {"recall": pytest.approx(hits / wanted), "recall_probes": 100}
    assert 0.2 < told["recall"] < 1
    exact = whole(search(comparison, np.arange(300), TOP, 1e9))
    assert recall(exact, exact) == 1


def test_outcomes_say_where_the_person_of_a_probe_was_found(case: Searched) -> None:
    comparison, probes, gallery = case
    found = whole(search(comparison, np.arange(300), TOP, 1e9))
    outcomes = outcomes_of(comparison, records_of(found))
    for probe in range(300):
        candidates = straight(probes, gallery, probe)
        mates = [row for _, row in candidates if gallery.subjects[row] == probes.subjects[probe]]
        assert outcomes.mated[probe] == bool(mates)
        ranks = [place for place, (_, row) in enumerate(candidates[:TOP], 1) if row in mates]
        assert outcomes.rank[probe] == (ranks[0] if ranks else 0)
        score = candidates[ranks[0] - 1][0] / SIZE if ranks else -np.inf
        assert outcomes.mate_score[probe] == pytest.approx(score)
        assert outcomes.top_score[probe] == pytest.approx(candidates[0][0] / SIZE)
    assert 0 < outcomes.mated.sum() < 300


def test_probes_need_no_subjects_and_the_gallery_only_where_a_rule_is_given(tmp_path: Path) -> None:
    rows = np.eye(3, dtype=np.float32)
    known = write_set(tmp_path / "known", rows, {"path": ["a/1", "a/2", "b/3"], "subject": ["p", "p", "q"]})
    unknown = write_set(tmp_path / "unknown", rows, {"path": ["1", "2", "3"], "subject": ["", "", ""]})
    named, nameless = open_feature_set(known), open_feature_set(unknown)
    assert search_sides(named, named).unknown == ""
    sides = search_sides(nameless, named)
    assert (sides.subjects, "3 of 3 rows" in sides.unknown) == (["p", "p", "q"], True)
    assert list(search_sides(named, nameless).subjects) == ["", "", ""]
    assert search_sides(named, named, "PUBLIC_IVS").subjects == ["a", "a", "b"]
    for rule in ("person", "PUBLIC_IVS"):
        with pytest.raises(UsageError, match=r"person|3 of 3 rows"):
            search_sides(named, nameless, rule)


def test_candidates_have_their_own_subjects_where_gallery_rows_are_left_out(tmp_path: Path) -> None:
    rows = np.eye(4, dtype=np.float32)
    rows[1] = 0
    columns = {"path": ["1", "2", "3", "4"], "subject": ["a", "b", "c", "d"]}
    gallery = open_feature_set(write_set(tmp_path / "gallery", rows, columns))
    assert list(search_sides(gallery, gallery).subjects) == ["a", "c", "d"]


def test_what_faiss_cannot_do_is_named(
    case: Searched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    comparison = case[0]
    for told, reason in (
        ((0, 1, 1e9), "--lists"),
        ((10_000, 1, 1e9), "--lists"),
        ((None, 0, 1e9), "--nprobe"),
    ):
        with pytest.raises(UsageError, match=reason):
            FaissIndex(comparison, *told)
    with pytest.raises(UsageError, match="--memory"):
        FaissIndex(comparison, None, 1, 1e5)
    original: Callable[..., Any] = builtins.__import__

    def without_faiss(name: str, *rest: Any) -> Any:
        if name == "faiss":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_faiss)
    with pytest.raises(UsageError, match=r"pip install faiss-cpu"):
        FaissIndex(comparison, None, 1, 1e9)
