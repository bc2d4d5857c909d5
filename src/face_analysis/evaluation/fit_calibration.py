"""How sure a model may be, fitted on one half of the images and measured on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute, known
from face_analysis.errors import EmptyDataError
from face_analysis.evaluation.attributes import Measures
from face_analysis.evaluation.calibration import (
    Reliability,
    conformal_quantile,
    fit_temperature,
    measure_intervals,
    measure_intervals_by_age,
    reliability,
)
from face_analysis.losses.ordinal import age_ranks, expected_age

COVERAGE = 0.9
AGE_TEMPERATURES = np.geomspace(0.05, 2, 75)
Labels = Mapping[Attribute, NDArray[np.int64]]
Logits = Mapping[Attribute, Tensor]


@dataclass(frozen=True)
class CalibrationFit:
    """What belongs in the card, and what it gave on the images it was not fitted on.

    `calibration` holds each attribute's `temperature`, for age also the `quantile` and `coverage`.
    `reliability` (race, gender) is with the temperature, `uncalibrated` without; `intervals` of age have
    `coverage` and `width`, over all and by band of true age.
    """

    calibration: dict[str, Any]
    uncalibrated: dict[Attribute, Reliability]
    reliability: dict[Attribute, Reliability]
    intervals: Measures
    intervals_by_age: dict[str, Measures]


def fit_calibration(logits: Logits, labels: Labels, seed: int = 0) -> CalibrationFit:
    """Fit on a random half of the N images, measure on the rest; logits (N, outputs), labels (N,).

    Race and gender: temperature scaling (Guo et al. 2017, arXiv 1706.04599). Age: the temperature of the
    tasks "older than k" that leaves the least mean absolute error of the expected age, since the tails of a
    hundred tasks add up to years; and an interval of 90 % coverage by distributional conformal prediction
    (Chernozhukov, Wuethrich, Zhu 2021, arXiv 1909.07889) on the distribution as the network gives it.
    Raises EmptyDataError for too few known labels.
    """
    if not logits:
        raise EmptyDataError("nothing to calibrate on: no image could be used; check the list and its folder")
    count = len(next(iter(logits.values())))
    order = np.random.default_rng(seed).permutation(count)
    fit, rest = order[: count // 2], order[count // 2 :]
    calibration: dict[str, Any] = {}
    before: dict[Attribute, Reliability] = {}
    after: dict[Attribute, Reliability] = {}
    intervals: Measures = {}
    by_age: dict[str, Measures] = {}
    for name in (name for name in ATTRIBUTES if name in logits and name in labels):
        values, truth = logits[name], labels[name]
        for half in (fit, rest):
            if not known(name, truth[half]).any():
                raise EmptyDataError(
                    f"{name}: of {count} images too few have a known label to fit on one half and measure on "
                    "the other; give a list that has more"
                )
        if name == "age":
            calibration[name] = _fit_age(values[fit], truth[fit])
            low, high = (ends.numpy() for ends in age_interval(values[rest], calibration[name]["quantile"]))
            intervals = measure_intervals(low, high, truth[rest])
            by_age = measure_intervals_by_age(low, high, truth[rest])
        else:
            temperature = fit_temperature(values[fit].numpy(), truth[fit])
            calibration[name] = {"temperature": temperature}
            before[name] = reliability(values[rest].softmax(dim=1).numpy(), truth[rest])
            after[name] = reliability((values[rest] / temperature).softmax(dim=1).numpy(), truth[rest])
    return CalibrationFit(calibration, before, after, intervals, by_age)


def age_interval(logits: Tensor, quantile: float) -> tuple[Tensor, Tensor]:
    """First and last (N,), (N,) of the ages whose rank in the predicted distribution is near its middle.

    `logits` (N, K) are the network's own. Near is at most `quantile`, 0 to 0.5, away from 0.5; the age
    nearest the middle is always in.
    """
    away = (age_ranks(logits) - 0.5).abs()
    inside = (away <= quantile) | (away == away.min(dim=1, keepdim=True).values)
    ages = torch.arange(inside.shape[1])
    low = torch.where(inside, ages, inside.shape[1]).min(dim=1).values
    high = torch.where(inside, ages, -1).max(dim=1).values
    return low, high


def _fit_age(logits: Tensor, ages: NDArray[np.int64]) -> dict[str, float]:
    use = known("age", ages)
    logits, truth = logits[torch.from_numpy(use)], torch.from_numpy(ages[use])
    errors = [float((expected_age(logits / t) - truth).abs().mean()) for t in AGE_TEMPERATURES]
    scores = (age_ranks(logits)[torch.arange(len(truth)), truth] - 0.5).abs()
    quantile = conformal_quantile(scores.numpy(), COVERAGE)
    if not np.isfinite(quantile):
        raise EmptyDataError(f"too few images of known age ({len(truth)}) for an interval of {COVERAGE:.0%}")
    temperature = float(AGE_TEMPERATURES[int(np.argmin(errors))])
    return {"temperature": temperature, "quantile": quantile, "coverage": COVERAGE}
