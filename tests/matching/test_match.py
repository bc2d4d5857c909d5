from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from face_analysis.errors import EmptyDataError, FeatureSetError, UsageError
from face_analysis.evaluation.score_histogram import edges
from face_analysis.matching.comparison import Comparison, compare
from face_analysis.matching.features.feature_set import open_feature_set
from face_analysis.matching.match import match
from face_analysis.matching.match_files import read_counts, write_counts
from face_analysis.matching.result import MatchResult
from face_analysis.matching.score_files import write_scores
from face_analysis.matching.thresholds import threshold_cards
from tests.matching.feature_sets import SIZE, AllPairs, all_pairs, people, write_set

MUCH, LITTLE = 1e9, 1.5e7
"""Memory in bytes: with little of it there are several panels a group."""


@pytest.fixture(scope="module", params=["probes", "gallery"])
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Comparison, AllPairs]:
    """2,000 probes with each other, and 1,300 with a gallery of 900 that shares some photos and people."""
    folder = tmp_path_factory.mktemp("sets")
    if request.param == "probes":
        one = people(2000, seed=1)
        return compare(open_feature_set(one.write(folder / "a")), groups=["country"]), all_pairs(one)
    one, other = people(1300, seed=2), people(900, seed=3, first=100)
    sets = [open_feature_set(each.write(folder / name)) for each, name in ((one, "a"), (other, "b"))]
    return compare(*sets, groups=["country"]), all_pairs(one, other)


@pytest.fixture(scope="module", params=[MUCH, LITTLE], ids=["one thread", "three threads"])
def found(request: pytest.FixtureRequest, case: tuple[Comparison, AllPairs]) -> tuple[MatchResult, AllPairs]:
    looked_at: list[int] = []
    torch.set_num_threads(3 if request.param == LITTLE else 1)
    result = match(case[0], tail=200, memory=request.param, progress=looked_at.append)
    torch.set_num_threads(1)
    assert sum(looked_at) == case[0].pairs
    return result, case[1]


def test_every_pair_of_groups_has_the_histogram_of_a_straight_loop(
    found: tuple[MatchResult, AllPairs],
) -> None:
    result, expected = found
    counted = 0
    for pair, histogram in result.histograms.items():
        rows = expected.of(pair)
        for counts, mated in ((histogram.mated, True), (histogram.non_mated, False)):
            chosen = expected.bins[rows & (expected.mated == mated)]
            np.testing.assert_array_equal(counts, np.bincount(chosen, minlength=20_000))
            counted += len(chosen)
    assert counted == len(expected.probe)


def test_the_tails_are_the_ends_of_the_sorted_scores(found: tuple[MatchResult, AllPairs]) -> None:
    result, expected = found
    scores = expected.product / SIZE
    for pairs, mated, sign in ((result.highest, False, -1), (result.lowest, True, 1)):
        rows = np.flatnonzero(expected.mated == mated)  # in the order of probes and gallery
        rows = rows[np.argsort(sign * scores[rows], kind="stable")]
        np.testing.assert_allclose(pairs["score"], scores[rows[:200]], atol=1e-9)
        np.testing.assert_array_equal(pairs["probe"], expected.probe[rows[:200]])
        np.testing.assert_array_equal(pairs["gallery"], expected.gallery[rows[:200]])


@pytest.mark.parametrize("pair", [None, ("north", "north"), ("north", "south"), ("", "south")])
def test_errors_by_subject_are_those_of_a_straight_loop(
    case: tuple[Comparison, AllPairs], found: tuple[MatchResult, AllPairs], pair: tuple[str, str] | None
) -> None:
    result, expected = found
    probes, gallery = case[0].probes.rows, case[0].gallery.rows
    score = expected.product / SIZE
    asked = expected.of(pair)
    of_probe = probes["subject"][expected.probe]
    of_gallery = gallery["subject"][expected.gallery]
    number = len(result.subjects)
    for place in (0, 20, 50, -1):
        threshold = result.thresholds[place]
        errors = result.subject_errors(threshold, pair)
        chosen = asked & ~expected.mated & (score >= threshold - 1e-9)
        involved = np.concatenate([of_probe[chosen], of_gallery[chosen]])
        wrong = np.bincount(involved, minlength=number)
        np.testing.assert_array_equal(errors["false_matches"], wrong)
        chosen = asked & expected.mated & (score < threshold - 1e-9)
        missed = np.bincount(of_probe[chosen], minlength=number)
        np.testing.assert_array_equal(errors["false_non_matches"], missed)
        mated, non_mated = asked & expected.mated, asked & ~expected.mated
        involved = np.concatenate([of_probe[non_mated], of_gallery[non_mated]])
        np.testing.assert_array_equal(errors["mated"], np.bincount(of_probe[mated], minlength=number))
        np.testing.assert_array_equal(errors["non_mated"], np.bincount(involved, minlength=number))


def test_errors_by_subject_between_two_thresholds_add_up_to_the_histogram(
    found: tuple[MatchResult, AllPairs],
) -> None:
    result, expected = found
    for threshold in (result.thresholds[3] + 0.0011, result.thresholds[40] + 0.0002, 0.9999, 1.0001):
        errors = result.subject_errors(threshold)
        over = ~expected.mated & (expected.product / SIZE >= threshold)
        under = expected.mated & (expected.product / SIZE < threshold)
        assert errors["false_matches"].sum() == pytest.approx(2 * over.sum())
        assert errors["false_non_matches"].sum() == pytest.approx(under.sum())
    with pytest.raises(UsageError, match="--fmr"):
        result.subject_errors(result.thresholds[0] - 0.001)


def test_what_is_written_is_read_again(found: tuple[MatchResult, AllPairs], tmp_path: Path) -> None:
    write_counts(found[0], tmp_path)
    again = read_counts(tmp_path)
    assert again.histograms.keys() == found[0].histograms.keys()
    for name in (field.name for field in fields(found[0])):
        if name != "histograms":
            np.testing.assert_array_equal(getattr(again, name), getattr(found[0], name))
    for pair, histogram in found[0].histograms.items():
        np.testing.assert_array_equal(again.histograms[pair].non_mated, histogram.non_mated)
        np.testing.assert_array_equal(again.histograms[pair].mated, histogram.mated)


def test_scores_of_any_embeddings_are_in_their_bin_or_within_rounding_of_it_and_tails_are_exact(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    exact = rng.standard_normal((1500, 512)) + rng.standard_normal(512) / 4
    embeddings = (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)
    names = [f"{row}.jpg" for row in range(1500)]
    write_set(tmp_path / "set", embeddings, {"path": names, "subject": names})
    result = match(compare(open_feature_set(tmp_path / "set")))
    histogram = result.histogram()
    double = embeddings.astype(np.float64)
    double /= np.linalg.norm(double, axis=1, keepdims=True)
    scores = np.sort((double @ double.T)[np.triu_indices(1500, 1)])
    counted = np.cumsum((histogram.mated + histogram.non_mated)[::-1])[::-1]
    least = len(scores) - np.searchsorted(scores, edges()[:-1] + 1e-6)
    most = len(scores) - np.searchsorted(scores, edges()[:-1] - 1e-6)
    assert (least <= counted).all()
    assert (counted <= most).all()
    assert counted[0] == len(scores)
    for place in (0, 7, 60):
        edge = round((result.thresholds[place] + 1) * 10_000)
        errors = result.subject_errors(result.thresholds[place])
        assert errors["false_matches"].sum() == 2 * counted[edge]
    np.testing.assert_allclose(result.highest["score"], scores[:-1001:-1], rtol=0, atol=1e-9)
    pairs = (double[result.highest["probe"]] * double[result.highest["gallery"]]).sum(axis=1)
    np.testing.assert_allclose(pairs, scores[:-1001:-1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("value", [0.1, 2.0])
def test_rows_that_are_not_of_length_1_are_refused_by_the_name_of_their_image(
    tmp_path: Path, value: float
) -> None:
    embeddings = np.eye(6, 8, dtype=np.float32)
    embeddings[[2, 4]] *= value
    names = [f"image {row}.jpg" for row in range(6)]
    write_set(tmp_path / "set", embeddings, {"path": names, "subject": names})
    with pytest.raises(FeatureSetError, match=r"2 rows .*image 2\.jpg, image 4\.jpg"):
        compare(open_feature_set(tmp_path / "set"))


@pytest.mark.parametrize(
    ("value", "reason"), [(np.nan, "not finite"), (np.inf, "not finite"), (0, "all zeros")]
)
def test_rows_that_are_no_embeddings_are_left_out_and_the_others_are_compared_as_without_them(
    tmp_path: Path, value: float, reason: str
) -> None:
    whole = people(400, seed=8)
    embeddings = whole.embeddings.copy()
    embeddings[[0, 17, 399]] = 0
    embeddings[[0, 17, 399], 3] = value
    columns = {"path": whole.paths, "subject": whole.subjects}
    comparison = compare(open_feature_set(write_set(tmp_path / "set", embeddings, columns)))
    assert [failure.path for failure in comparison.failures] == [whole.paths[row] for row in (0, 17, 399)]
    for row, failure in zip((0, 17, 399), comparison.failures, strict=True):
        assert (f"row {row} of" in failure.reason, reason in failure.reason) == (True, True)
    result, expected = match(comparison, tail=200), all_pairs(whole)
    kept = ~np.isin(expected.probe, (0, 17, 399)) & ~np.isin(expected.gallery, (0, 17, 399))
    for counts, mated in ((result.histogram().mated, True), (result.histogram().non_mated, False)):
        chosen = expected.bins[kept & (expected.mated == mated)]
        np.testing.assert_array_equal(counts, np.bincount(chosen, minlength=20_000))
    rows = comparison.probes.features.rows
    order = np.flatnonzero(kept & ~expected.mated)
    order = order[np.argsort(-expected.product[order], kind="stable")][:200]
    np.testing.assert_array_equal(rows[result.highest["gallery"]], expected.gallery[order])
    write_scores(comparison, "npy", tmp_path / "G", 1e6)
    written = np.load(tmp_path / "G_authentic.npy")[:, :2]
    mated = kept & expected.mated
    np.testing.assert_array_equal(written, np.stack([expected.probe[mated], expected.gallery[mated]], axis=1))


def test_a_set_without_any_embedding_is_refused(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg"]
    columns = {"path": names, "subject": names}
    write_set(tmp_path / "set", np.zeros((2, 4), np.float32), columns)
    with pytest.raises(EmptyDataError, match=r"none of the 2 rows .*all zeros"):
        compare(open_feature_set(tmp_path / "set"))


def test_people_with_one_image_each_are_all_non_mated_and_one_person_all_mated(tmp_path: Path) -> None:
    embeddings = np.eye(300, dtype=np.float32)
    names = [f"{row}.jpg" for row in range(300)]
    columns = {"path": names, "subject": names, "label": ["7"] * 300}
    features = open_feature_set(write_set(tmp_path / "set", embeddings, columns))
    for subject, mated in ((None, 0), ("label", 300 * 299 // 2)):
        result = match(compare(features, subject=subject), tail=5)
        assert result.histogram().mated.sum() == mated
        assert result.histogram().non_mated.sum() == 300 * 299 // 2 - mated
        assert result.histogram().mated[10_000] == mated
        assert (len(result.lowest), len(result.highest)) == ((5, 0) if mated else (0, 5))
        tail = result.lowest if mated else result.highest
        assert list(zip(tail["probe"], tail["gallery"], strict=True)) == [(0, other) for other in range(1, 6)]


def test_errors_are_counted_by_subject_also_where_a_sample_of_rows_has_no_non_mated_pairs(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    embeddings = np.sign(rng.standard_normal((1024, SIZE))).astype(np.float32) / 16
    names = [f"{row}.jpg" for row in range(1024)]
    columns = {"path": names, "subject": ["Ann", "Bob"] * 512}  # every second row is of one person
    features = open_feature_set(write_set(tmp_path / "set", embeddings, columns))
    (card,) = threshold_cards(match(compare(features)), [1e-3])
    scores = (embeddings[::2].astype(np.float64) @ embeddings[1::2].T).ravel()
    assert card.fmr == pytest.approx((scores >= card.threshold - 1e-9).mean())
    assert card.fmr_interval is not None
    assert card.fmr_interval.value == pytest.approx(card.fmr)


def test_opposite_and_equal_rows_are_in_the_first_and_the_last_bin(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    row = rng.standard_normal((40, 512))
    row /= np.linalg.norm(row, axis=1, keepdims=True)
    embeddings = np.concatenate([row, row, -row]).astype(np.float32)
    names = [f"{number}.jpg" for number in range(120)]
    features = open_feature_set(write_set(tmp_path / "set", embeddings, {"path": names, "subject": names}))
    non_mated = match(compare(features)).histogram().non_mated
    assert (non_mated[:2].sum(), non_mated[-2:].sum()) == (80, 40)
    assert non_mated.sum() == 120 * 119 // 2


def test_too_many_groups_for_the_memory_and_empty_sets_are_named(tmp_path: Path) -> None:
    names = [f"{row}.jpg" for row in range(300)]
    columns = {"path": names, "subject": names, "country": names}
    features = open_feature_set(write_set(tmp_path / "set", np.eye(300, dtype=np.float32), columns))
    with pytest.raises(UsageError, match="300 groups"):
        match(compare(features, groups=["country"]), memory=1e9)
    with pytest.raises(UsageError, match="race"):
        compare(features, groups=["race"])
    empty = tmp_path / "empty"
    write_set(empty, np.zeros((1, 3), np.float32), {"path": ["a"]})
    (empty / "index.csv").write_text("row,path\n")
    with pytest.raises(FeatureSetError, match="0 rows for 1"):
        open_feature_set(empty)
    one = open_feature_set(write_set(tmp_path / "one", np.eye(1, 3, dtype=np.float32), {"path": ["a"]}))
    with pytest.raises(UsageError, match="subject"):
        compare(one)
    result = match(compare(one, subject="original"))
    assert result.histogram().mated.sum() == result.histogram().non_mated.sum() == 0
    with pytest.raises(EmptyDataError):
        threshold_cards(result)
