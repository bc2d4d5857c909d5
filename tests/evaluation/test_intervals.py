from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import bootstrap, t
from sklearn.metrics import balanced_accuracy_score

from face_analysis.errors import UsageError
from face_analysis.evaluation.attributes import accuracy, balanced_accuracy, confusion_matrix
from face_analysis.evaluation.intervals import (
    MAX_CELLS,
    RESAMPLES,
    Estimate,
    fmr_estimate,
    fnmr_estimate,
    mean_estimate,
    percentile_estimate,
    resample_confusion,
    student_quantile,
    wilson,
)


def interval_of(matrix, statistic, seed=0):
    copies = statistic(resample_confusion(matrix, seed))
    return percentile_estimate(float(statistic(matrix)), copies, int(matrix.sum()))


def scipy_interval(statistic, *data, **options):
    found = bootstrap(data, statistic, method="percentile", rng=np.random.default_rng(5), **options)
    return found.confidence_interval.low, found.confidence_interval.high


@pytest.mark.parametrize("count", [20, 400, 5000])
def test_interval_of_a_mean_agrees_with_scipy(count):
    values = np.abs(np.random.default_rng(count).normal(0, 6, count))
    ours = mean_estimate(values)
    low, high = scipy_interval(np.mean, values, n_resamples=4000)
    assert ours.value == pytest.approx(values.mean(), rel=1e-12)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_interval_of_accuracy_agrees_with_scipy():
    labels = np.random.default_rng(1).integers(0, 3, 500)
    predictions = np.where(np.random.default_rng(2).random(500) < 0.8, labels, 0)
    ours = interval_of(confusion_matrix(labels, predictions, 3), accuracy)
    low, high = scipy_interval(np.mean, (labels == predictions).astype(float), n_resamples=4000)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_interval_of_balanced_accuracy_agrees_with_scipy():
    labels = np.random.default_rng(1).choice(3, 300, p=[0.7, 0.2, 0.1])
    predictions = np.where(np.random.default_rng(2).random(300) < 0.75, labels, 0)
    ours = interval_of(confusion_matrix(labels, predictions, 3), balanced_accuracy)
    low, high = scipy_interval(
        balanced_accuracy_score, labels, predictions, paired=True, vectorized=False, n_resamples=1000
    )
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.12 * (high - low))


def test_intervals_hold_the_true_mean_about_19_times_in_20():
    rng = np.random.default_rng(3)
    held = 0
    for repetition in range(300):
        sample = mean_estimate(rng.gamma(4.0, 1.5, 100), seed=repetition)
        held += sample.low <= 6.0 <= sample.high
    assert 0.92 <= held / 300 <= 0.98


@pytest.mark.parametrize(("statistic", "truth"), [(accuracy, 0.82), (balanced_accuracy, 0.8)])
def test_intervals_hold_the_true_accuracy_about_19_times_in_20(statistic, truth):
    cells = np.array([[0.54, 0.06], [0.12, 0.28]])  # recalls 0.9 and 0.7
    rng = np.random.default_rng(4)
    held = 0
    for repetition in range(400):
        matrix = rng.multinomial(400, cells.ravel()).reshape(2, 2)
        sample = interval_of(matrix, statistic, seed=repetition)
        held += sample.low <= truth <= sample.high
    assert 0.92 <= held / 400 <= 0.98


def test_every_resample_counts_as_many_images_and_fills_no_empty_cell():
    matrix = np.array([[50, 3, 0], [0, 0, 0], [7, 0, 40]])
    copies = resample_confusion(matrix)
    assert copies.shape == (RESAMPLES, 3, 3)
    assert set(copies.sum(axis=(1, 2)).tolist()) == {100}
    assert not copies[:, matrix == 0].any()


def test_averaging_within_slices_hardly_moves_the_interval():
    values = np.abs(np.random.default_rng(8).normal(0, 6, 3000))
    assert np.unique(values).size > MAX_CELLS
    sums = np.random.default_rng(9).choice(values, size=(4000, 3000)).mean(axis=1)
    ours = mean_estimate(values)
    assert (ours.high - ours.low) == pytest.approx(np.diff(np.quantile(sums, [0.025, 0.975]))[0], rel=0.06)


def test_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.arange(50.0)
    assert mean_estimate(values, seed=1) == mean_estimate(values, seed=1)
    assert mean_estimate(values, seed=1) != mean_estimate(values, seed=2)


def test_a_single_value_and_equal_values_have_an_interval_without_width():
    for values in (np.array([3.5]), np.full(9, 3.5)):
        estimate = mean_estimate(values)
        assert (estimate.low, estimate.value, estimate.high) == (3.5, 3.5, 3.5)
        assert estimate.count == values.size


def test_nothing_to_report_is_none_not_nan():
    assert mean_estimate(np.array([])) is None
    assert percentile_estimate(float("nan"), np.array([0.5]), 3) is None
    assert percentile_estimate(0.5, np.array([np.nan]), 3) is None
    assert percentile_estimate(0.5, np.array([0.5]), 0) is None


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(UsageError, match="finite"):
        mean_estimate(np.array([1.0, np.nan]))


def test_a_million_values_need_little_memory():
    values = np.random.default_rng(0).random(1_000_000)
    tracemalloc.start()
    estimate = mean_estimate(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std() / 1000, rel=0.1)
    assert peak < 100e6


Counts = NDArray[np.int64]


def wilson_by_search(share: float, number: float, quantile: float) -> tuple[float, float]:
    """Where the distance to the share is as many standard errors of the true share as the quantile says."""

    def distance(true: float) -> float:
        return abs(share - true) - quantile * math.sqrt(true * (1 - true) / number)

    return brentq(distance, 1e-15, share, xtol=1e-15), brentq(distance, share, 1, xtol=1e-15)


def plain_interval(errors: dict[tuple[int, ...], int], pairs: dict[tuple[int, ...], int]) -> Estimate:
    """By leaving out one person after the other, from the errors and pairs of each one or two people."""
    people = sorted({person for key in pairs for person in key})
    total, size = sum(pairs.values()), len(next(iter(pairs)))
    rate = sum(errors.values()) / total
    parts = []
    for person in people:
        others = [key for key in pairs if person not in key]
        without = sum(errors[key] for key in others) / sum(pairs[key] for key in others)
        parts.append((total * (rate - without)) ** 2)
    alone = sum(errors[key] * (1 - rate) ** 2 + (pairs[key] - errors[key]) * rate**2 for key in pairs)
    variance = max(sum(parts) - (size - 1) * alone, alone)
    freedom = min(len(people) - 1, 2 * sum(parts) ** 2 / (len(parts) * np.var(parts)))
    number = rate * (1 - rate) * total**2 / variance
    return Estimate(rate, *wilson_by_search(rate, number, float(t.ppf(0.975, freedom))), total)


def close(one: Estimate, other: Estimate) -> None:
    assert one.count == other.count
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), rel=2e-3)


def by_person(first: Counts, second: Counts, people: int) -> Counts:
    return np.bincount(first, minlength=people) + np.bincount(second, minlength=people)


def non_mated(images: Counts) -> Counts:
    return images * (images.sum() - images)


def clumped_matches(images: Counts, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """False matches where some people match more often than others, with a chance of 0.01 in all."""
    liable = rng.gamma(1.0, 0.1, len(images))
    first, second = np.triu_indices(len(images), 1)
    found = rng.binomial(images[first] * images[second], np.minimum(liable[first] * liable[second], 1))
    return np.repeat(first, found), np.repeat(second, found)


def test_the_interval_is_that_of_leaving_out_one_person_after_the_other() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(1, 6, 30)
    first, second = clumped_matches(images, rng)
    keys = list(itertools.combinations(range(30), 2))
    errors = {(a, b): int(((first == a) & (second == b)).sum()) for a, b in keys}
    pairs = {(a, b): int(images[a] * images[b]) for a, b in keys}
    close(fmr_estimate(by_person(first, second, 30), non_mated(images)), plain_interval(errors, pairs))


def test_so_it_is_for_mated_pairs() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.integers(1, 9, 30)
    errors = rng.binomial(pairs, rng.beta(0.5, 2.0, 30))
    tables = [{(person,): int(count) for person, count in enumerate(each)} for each in (errors, pairs)]
    close(fnmr_estimate(errors, pairs), plain_interval(*tables))


def test_people_without_pairs_change_nothing() -> None:
    rng = np.random.default_rng(6)
    pairs = rng.integers(1, 9, 30)
    errors = rng.binomial(pairs, rng.beta(0.5, 2.0, 30))
    more = np.append(errors, np.zeros(50, np.int64)), np.append(pairs, np.zeros(50, np.int64))
    assert fnmr_estimate(*more) == fnmr_estimate(errors, pairs)


def test_pairs_that_do_not_depend_on_people_have_nearly_wilsons_interval() -> None:
    rng, people = np.random.default_rng(2), 200
    first, second = np.triu_indices(people, 1)
    ones = np.ones(people, np.int64)
    ratios = []
    for _ in range(40):
        match = rng.random(len(first)) < 0.01
        ours = fmr_estimate(by_person(first[match], second[match], people), non_mated(ones))
        low, high = wilson(ours.value, len(first))
        ratios.append((ours.high - ours.low) / (high - low))
    assert 1 <= np.mean(ratios) < 1.12


def covered(intervals: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def test_intervals_hold_the_true_fmr_about_19_times_in_20_and_those_over_pairs_do_not() -> None:
    rng, images = np.random.default_rng(3), np.full(80, 3)
    ours, naive = [], []
    for _ in range(200):
        estimate = fmr_estimate(by_person(*clumped_matches(images, rng), 80), non_mated(images))
        ours.append((estimate.low, estimate.high))
        naive.append(wilson(estimate.value, estimate.count))
    assert 0.92 <= covered(ours, 0.01) <= 0.98
    assert covered(naive, 0.01) < 0.6


def test_intervals_hold_the_true_fnmr_about_19_times_in_20_and_those_over_pairs_do_not() -> None:
    rng = np.random.default_rng(4)
    ours, naive = [], []
    for _ in range(200):
        images = rng.integers(1, 9, 80)
        pairs = images * (images - 1) // 2
        estimate = fnmr_estimate(rng.binomial(pairs, rng.beta(0.3, 2.7, 80)), pairs)
        ours.append((estimate.low, estimate.high))
        naive.append(wilson(estimate.value, estimate.count))
    assert 0.92 <= covered(ours, 0.1) <= 0.98
    assert covered(naive, 0.1) < 0.7


def test_no_false_match_leaves_an_interval_that_depends_on_the_number_of_people() -> None:
    none = np.zeros(100, np.int64)
    one, five = (fmr_estimate(none, non_mated(np.full(100, images))) for images in (1, 5))
    assert (one.value, one.low, one.count, five.count) == (0, 0, 4950, 25 * 4950)
    assert one.high == pytest.approx(five.high) == pytest.approx(3.84 / 4950, rel=2e-3)
    zeros = np.zeros(40, np.int64)
    missed = fnmr_estimate(zeros, np.full(40, 10))
    assert (missed.low, missed.high) == (0, pytest.approx(3.84 / (40 + 3.84), rel=1e-3))
    every = fnmr_estimate(np.full(40, 10), np.full(40, 10))
    assert (every.low, every.high) == (pytest.approx(1 - missed.high), pytest.approx(1))


def test_too_few_people_are_said_to_tell_nothing() -> None:
    in_every_pair = fmr_estimate(np.array([1, 1, 0]), np.array([12, 6, 6]))
    assert (in_every_pair.value, in_every_pair.low, in_every_pair.high) == (1 / 12, 0, 1)
    alone = fnmr_estimate(np.array([2, 0]), np.array([10, 0]))
    assert (alone.value, alone.low, alone.high, alone.count) == (0.2, 0, 1, 10)
    nobody = np.zeros(3, np.int64)
    assert fmr_estimate(nobody, nobody) is None
    assert fnmr_estimate(nobody, nobody) is None


@pytest.mark.parametrize("freedom", [2, 2.5, 4, 10, 100, 1e6])
def test_students_quantile_agrees_with_scipy(freedom: float) -> None:
    assert student_quantile(freedom) == pytest.approx(t.ppf(0.975, freedom), rel=1e-9)
    assert student_quantile(1) == student_quantile(2)


def test_wilsons_interval_agrees_with_its_definition() -> None:
    for share, number in ((0.01, 300.0), (0.5, 12.5), (0.9, 40.0)):
        assert wilson(share, number, 2.2) == pytest.approx(wilson_by_search(share, number, 2.2), rel=1e-6)
