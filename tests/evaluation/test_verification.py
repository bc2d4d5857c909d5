from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from face_analysis.errors import UsageError
from face_analysis.evaluation.verification import best_threshold, fold_accuracy


def errors(scores: list[float], same: list[bool], threshold: float) -> int:
    return sum((score >= threshold) != truth for score, truth in zip(scores, same, strict=True))


def best_of_all_middles(scores: list[float], same: list[bool]) -> float:
    values = sorted(set(scores))
    middles = [(low + high) / 2 for low, high in pairwise(values)]
    best, fewest = values[0], errors(scores, same, values[0])
    for candidate in [*middles, float("inf")]:
        if errors(scores, same, candidate) < fewest:
            best, fewest = candidate, errors(scores, same, candidate)
    return best


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_folds_are_judged_as_a_plain_loop_judges_them(decimals: int) -> None:
    generator = np.random.default_rng(decimals)
    same = generator.random(400) < 0.5
    scores = (generator.normal(0.3, 0.2, 400) + 0.3 * same).round(decimals)
    folds = np.repeat(np.arange(10), 40)
    found = fold_accuracy(scores, same, folds)
    accuracies = []
    for fold in range(10):
        others = [i for i in range(400) if folds[i] != fold]
        chosen_scores, chosen_same = [float(scores[i]) for i in others], [bool(same[i]) for i in others]
        threshold = best_of_all_middles(chosen_scores, chosen_same)
        assert found.thresholds[fold] == threshold
        mine = [i for i in range(400) if folds[i] == fold]
        wrong = errors([float(scores[i]) for i in mine], [bool(same[i]) for i in mine], threshold)
        accuracies.append(1 - wrong / 40)
    np.testing.assert_allclose(found.accuracies, accuracies)
    assert found.mean == pytest.approx(sum(accuracies) / 10)
    assert found.std == pytest.approx(np.std(accuracies))


def test_the_threshold_of_pairs_of_one_kind_lets_all_or_none_match() -> None:
    scores = np.array([0.4, 0.1, 0.3])
    assert best_threshold(scores, np.array([True, True, True])) == 0.1
    assert best_threshold(scores, np.array([False, False, False])) == np.inf


def test_equal_scores_fall_on_one_side_together() -> None:
    assert best_threshold(np.array([0.5, 0.5, 0.5, 0.7]), np.array([True, False, False, True])) == 0.6
    assert best_threshold(np.array([0.5, 0.5, 0.5, 0.1]), np.array([True, True, False, False])) == 0.3


def test_the_threshold_does_not_move_when_the_scores_beside_its_gap_do_alike() -> None:
    same = np.array([False, False, True, True])
    for width in (0.1, 0.01, 0.001):
        scores = np.array([0.0, 0.5 - width, 0.5 + width, 1.0], np.float32)
        assert best_threshold(scores, same) == pytest.approx(0.5, abs=1e-7)


@pytest.mark.parametrize("low", [0.3, 1.0, -0.7, 0.0])
def test_scores_that_are_neighbouring_floats_are_divided(low: float) -> None:
    for _ in range(4):
        high = float(np.nextafter(low, np.inf))
        threshold = best_threshold(np.array([low, high]), np.array([False, True]))
        assert low < threshold <= high
        low = high


def test_wrong_input_is_named() -> None:
    scores, same = np.array([0.1, 0.2]), np.array([True, False])
    with pytest.raises(UsageError, match="two folds"):
        fold_accuracy(scores, same, np.zeros(2, int))
    with pytest.raises(UsageError, match="pair up"):
        fold_accuracy(scores, same[:1], np.arange(2))
    with pytest.raises(UsageError, match="1 scores are not finite"):
        fold_accuracy(np.array([0.1, np.inf]), same, np.arange(2))
