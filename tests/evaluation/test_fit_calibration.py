from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from face_analysis.errors import EmptyDataError
from face_analysis.evaluation.fit_calibration import age_interval, fit_calibration
from face_analysis.losses.ordinal import counted_age, expected_age


def ages_and_logits(count: int, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Ages as noisy as the logits say: a logistic distribution about a guess, wider for older guesses."""
    rng = np.random.default_rng(seed)
    guess = rng.uniform(10, 80, count)
    width = 1 + guess / 20
    ages = np.clip(np.ceil(rng.logistic(guess, width)), 0, 100).astype(np.int64)
    logits = (guess[:, None] - np.arange(100)) / width[:, None]
    return ages, torch.tensor(logits, dtype=torch.float32)


def test_interval_of_the_fit_covers_nine_in_ten_fresh_ages_young_and_old() -> None:
    ages, logits = ages_and_logits(4000, 0)
    fitted = fit_calibration({"age": logits}, {"age": ages}).calibration["age"]
    fresh, logits = ages_and_logits(4000, 1)
    low, high = (ends.numpy() for ends in age_interval(logits, fitted["quantile"]))
    inside = (low <= fresh) & (fresh <= high)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    for band in (fresh < 30, (fresh >= 30) & (fresh < 60), fresh >= 60):
        assert inside[band].mean() == pytest.approx(0.9, abs=0.05)
    assert (high - low)[fresh > 60].mean() > 1.5 * (high - low)[fresh < 30].mean()


def test_interval_equals_a_loop_over_the_ages() -> None:
    _, logits = ages_and_logits(20, 2)
    low, high = age_interval(logits, 0.4)
    for row, first, last in zip(expit(logits.double().numpy()), low.tolist(), high.tolist(), strict=True):
        below = [0.0, *(1 - row), 1.0]
        near = [age for age in range(101) if abs((below[age] + below[age + 1]) / 2 - 0.5) <= 0.4]
        assert (first, last) == (near[0], near[-1])


def test_an_interval_too_narrow_for_any_age_holds_the_middle_one() -> None:
    _, logits = ages_and_logits(50, 3)
    low, high = age_interval(logits, 0.0)
    assert (low <= high).all()
    assert (high - low <= 1).all()
    assert ((counted_age(logits) - low).abs() <= 1).all()


def test_age_temperature_is_the_best_of_a_search_on_the_same_half() -> None:
    rng = np.random.default_rng(4)
    ages = rng.integers(0, 80, 600)
    logits = torch.tensor(
        (ages[:, None] - np.arange(100) + rng.normal(0, 4, (600, 1))) / 9, dtype=torch.float32
    )
    fitted = fit_calibration({"age": logits}, {"age": ages}, seed=5).calibration["age"]
    half = np.random.default_rng(5).permutation(600)[:300]

    def error(temperature: float) -> float:
        years = expit(logits[half].numpy() / temperature).sum(axis=1)
        return float(np.abs(years - ages[half]).mean())

    assert error(fitted["temperature"]) <= min(error(t) for t in np.linspace(0.2, 2, 10)) + 0.02
    assert float((expected_age(logits) - torch.tensor(ages)).abs().mean()) > error(fitted["temperature"])


def test_overconfident_classes_are_cooled_and_measured_on_the_other_half() -> None:
    rng = np.random.default_rng(6)
    true = rng.normal(0, 1.5, (8000, 5))
    shares = softmax(true, axis=1)
    labels = np.array([rng.choice(5, p=row) for row in shares])
    logits = torch.tensor(3 * true, dtype=torch.float32)
    fit = fit_calibration({"race": logits}, {"race": labels})
    assert fit.calibration["race"]["temperature"] == pytest.approx(3, rel=0.1)
    assert fit.uncalibrated["race"].error > 0.15
    assert fit.reliability["race"].error < 0.04
    assert fit.reliability["race"].count.sum() == 4000
    assert fit.intervals == {}


def test_too_few_ages_for_an_interval_are_refused() -> None:
    ages, logits = ages_and_logits(10, 7)
    with pytest.raises(EmptyDataError, match="too few"):
        fit_calibration({"age": logits}, {"age": ages})
    with pytest.raises(EmptyDataError, match="age: of 10 images too few have a known label"):
        fit_calibration({"age": logits}, {"age": np.full(10, -1)})
    with pytest.raises(EmptyDataError, match="no image could be used"):
        fit_calibration({}, {"age": ages})
