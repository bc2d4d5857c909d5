"""How often 95 % intervals of FMR and FNMR hold the truth where pairs share people, on simulated scores.

python -m benchmarks.interval_coverage

A score is a sum of normal parts: of either person, either image, the two people together, and the rest. So
the rate at every threshold is known in closed form. `ours` are the intervals of `evaluation/intervals.py`.
Beside them stand Wilson's and the bootstrap over pairs, which take pairs to be independent, and the
bootstrap over people.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from face_analysis.evaluation.intervals import LEVEL, fmr_estimate, fnmr_estimate, wilson

PERSON, IMAGE, TOGETHER = 0.05, 0.05, 0.3
"""Shares of the variance of a non-mated score: of each person, of each image, of the two people together."""
RATES = {"FMR": (1e-2, 1e-3, 1e-4), "FNMR": (0.2, 0.05, 0.01)}
IMAGES = {"4": (4, 5), "1 to 7": (1, 8)}
RESAMPLES = 500
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
Interval = tuple[float, float]
Counts = NDArray[np.int64]


class Scores(NamedTuple):
    """Scores, and the people of each: of mated pairs `first` is `second`."""

    scores: NDArray[np.float64]
    first: Counts
    second: Counts


def simulate(images: Counts, rng: np.random.Generator) -> tuple[Scores, Scores]:
    """Non-mated and mated scores of people with so many images each, both of variance 1."""
    people, total = len(images), int(images.sum())
    person = np.repeat(np.arange(people), images)
    alike = np.triu(rng.standard_normal((people, people)), 1)
    parts = math.sqrt(PERSON) * rng.standard_normal(people)[person]
    parts += math.sqrt(IMAGE) * rng.standard_normal(total)
    one, other = np.triu_indices(total, 1)
    first, second = person[one], person[other]
    rest = math.sqrt(1 - 2 * PERSON - 2 * IMAGE - TOGETHER) * rng.standard_normal(len(one))
    scores = parts[one] + parts[other] + math.sqrt(TOGETHER) * alike[first, second] + rest
    mated = first == second  # here the part of the person counts double, and that of two people is 0
    scores[mated] /= math.sqrt(1 + 2 * PERSON - TOGETHER)
    return Scores(scores[~mated], first[~mated], second[~mated]), Scores(
        scores[mated], first[mated], second[mated]
    )


def fmr_intervals(
    pairs: Scores, images: Counts, rate: float, rng: np.random.Generator
) -> dict[str, Interval]:
    match = pairs.scores >= NormalDist().inv_cdf(1 - rate)
    first, second = pairs.first[match], pairs.second[match]
    by_person = np.bincount(np.append(first, second), minlength=len(images))
    ours = fmr_estimate(by_person, images * (images.sum() - images))
    assert ours is not None
    drawn = drawn_people(len(images), rng)
    total = ((drawn @ images) ** 2 - drawn**2 @ images**2) / 2
    weight = (drawn[:, first] * drawn[:, second]).sum(axis=1)
    return over_pairs(len(first), len(match), rng) | {
        "bootstrap of people": tails(weight / total),
        "ours": (ours.low, ours.high),
    }


def fnmr_intervals(
    pairs: Scores, images: Counts, rate: float, rng: np.random.Generator
) -> dict[str, Interval]:
    missed = np.bincount(
        pairs.first, pairs.scores < NormalDist().inv_cdf(rate), minlength=len(images)
    ).astype(np.int64)
    counts = np.bincount(pairs.first, minlength=len(images))
    ours = fnmr_estimate(missed, counts)
    assert ours is not None
    drawn = drawn_people(len(images), rng)
    return over_pairs(int(missed.sum()), int(counts.sum()), rng) | {
        "bootstrap of people": tails((drawn @ missed) / (drawn @ counts)),
        "ours": (ours.low, ours.high),
    }


def drawn_people(people: int, rng: np.random.Generator) -> Counts:
    """How often each person is drawn, (RESAMPLES, people)."""
    return rng.multinomial(people, np.full(people, 1 / people), size=RESAMPLES)


def over_pairs(errors: int, pairs: int, rng: np.random.Generator) -> dict[str, Interval]:
    drawn = rng.binomial(pairs, errors / pairs, RESAMPLES) / pairs
    return {"Wilson over pairs": wilson(errors / pairs, pairs), "bootstrap of pairs": tails(drawn)}


def tails(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, TAILS)
    return float(low), float(high)


def coverage(people: int, images: str, repetitions: int) -> Iterator[dict[str, str | int | float]]:
    """A row for each rate and kind of interval."""
    rng = np.random.default_rng(people)
    found: dict[tuple[str, float, str], list[Interval]] = {}
    for _ in range(repetitions):
        counts = rng.integers(*IMAGES[images], people)
        non_mated, mated = simulate(counts, rng)
        for kind, pairs, intervals in (("FMR", non_mated, fmr_intervals), ("FNMR", mated, fnmr_intervals)):
            for rate in RATES[kind]:
                for method, interval in intervals(pairs, counts, rate, rng).items():
                    found.setdefault((kind, rate, method), []).append(interval)
    for (kind, rate, method), each in found.items():
        low, high = np.array(each).T
        yield {
            "rate": kind,
            "true": rate,
            "people": people,
            "images_each": images,
            "method": method,
            "repetitions": repetitions,
            "coverage": round(float(np.mean((low <= rate) & (rate <= high))), 4),
            "too_high": int((low > rate).sum()),
            "too_low": int((high < rate).sum()),
            "median_width": float(f"{np.median(high - low):.3g}"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("results/interval_coverage.csv"))
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--people", type=int, nargs="+", default=[100, 300])
    options = parser.parse_args()
    rows = [
        row
        for people in options.people
        for images in IMAGES
        for row in coverage(people, images, options.repetitions)
    ]
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(options.output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
