from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import top_k_accuracy_score

from face_analysis.evaluation.identification import (
    FPIRS,
    Outcomes,
    identification_rate,
    identification_report,
)
from face_analysis.evaluation.intervals import wilson

RANKS = 5


def scores_and_people(decimals: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Scores (P, G) of 400 probes with a gallery of 60, whom each shows; 25 people have no row in it."""
    rng = np.random.default_rng(decimals)
    of_probe, of_gallery = rng.integers(0, 65, 400), rng.integers(0, 40, 60)
    scores = rng.normal(0.2, 0.1, (400, 60))
    scores[of_probe[:, None] == of_gallery] += 0.25
    return scores.round(decimals), of_probe, of_gallery


def outcomes(
    scores: NDArray[np.float64], of_probe: NDArray[np.int64], of_gallery: NDArray[np.int64]
) -> Outcomes:
    """By a plain loop over probes and their candidates in order; equal scores in the order of rows."""
    rows = []
    for probe, person in enumerate(of_probe):
        candidates = sorted(range(len(of_gallery)), key=lambda row: (-scores[probe, row], row))[:RANKS]
        ranks = [place for place, row in enumerate(candidates, 1) if of_gallery[row] == person]
        mate = scores[probe, candidates[ranks[0] - 1]] if ranks else -np.inf
        rows.append((person in of_gallery, ranks[0] if ranks else 0, mate, scores[probe, candidates[0]]))
    mated, rank, mate_score, top_score = zip(*rows, strict=True)
    return Outcomes(of_probe, np.array(mated), np.array(rank), np.array(mate_score), np.array(top_score))


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_rates_are_those_of_a_loop_over_probes(decimals: int) -> None:
    scores, of_probe, of_gallery = scores_and_people(decimals)
    found = outcomes(scores, of_probe, of_gallery)
    report = identification_report(found, RANKS, [0.4])
    mated = [probe for probe in range(400) if of_probe[probe] in of_gallery]
    others = [probe for probe in range(400) if of_probe[probe] not in of_gallery]
    assert (report.mated, report.non_mated) == (len(mated), len(others))
    for rank, rate in enumerate(report.identification_rates, 1):
        hits = sum(1 <= found.rank[probe] <= rank for probe in mated)
        assert rate.value == pytest.approx(hits / len(mated))
        assert rate.low < rate.value < rate.high
    assert [point.asked for point in report.points] == [None, *FPIRS]
    for point in report.points:
        reached = sum(max(scores[probe].tolist()) >= point.threshold for probe in others)
        missed = [
            probe
            for probe in mated
            if not any(
                scores[probe, row] >= point.threshold and of_gallery[row] == of_probe[probe]
                for row in np.lexsort((range(60), -scores[probe]))[:RANKS]
            )
        ]
        assert point.fnir is not None
        assert point.fpir is not None
        assert point.fnir.value == pytest.approx(len(missed) / len(mated))
        assert point.fpir.value == pytest.approx(reached / len(others))
        if point.asked is not None:
            assert point.fpir.value <= point.asked
            assert point.supported == (len(others) >= 10 / point.asked)


def test_the_threshold_of_an_fpir_is_the_lowest_score_that_so_few_non_mated_probes_reach() -> None:
    scores, of_probe, of_gallery = scores_and_people(2)
    found = outcomes(scores, of_probe, of_gallery)
    for point in identification_report(found, RANKS).points:
        known = np.concatenate([found.top_score[~found.mated], found.mate_score[found.rank > 0]])
        good = [t for t in known.tolist() if (found.top_score[~found.mated] >= t).mean() <= point.asked]
        assert point.threshold == pytest.approx(min(good, default=np.nextafter(known.max(), 9)))


def test_identification_rates_are_scikit_learns_where_everyone_has_one_row_in_the_gallery() -> None:
    rng = np.random.default_rng(3)
    of_probe, of_gallery = rng.integers(0, 30, 500), np.arange(30)
    scores = rng.normal(0, 1, (500, 30))
    scores[np.arange(500), of_probe] += 2
    found = outcomes(scores, of_probe, of_gallery)
    for rank in range(1, RANKS + 1):
        rate = identification_rate(found, rank)
        assert rate is not None
        assert rate.value == pytest.approx(top_k_accuracy_score(of_probe, scores, k=rank, labels=of_gallery))


def test_intervals_are_over_people_not_over_probes() -> None:
    person = np.repeat(np.arange(40), 25)
    hits = np.repeat(np.random.default_rng(0).random(40) < 0.8, 25)  # of a person all or none
    found = Outcomes(
        person, np.full(1000, True), hits.astype(np.int64), np.where(hits, 0.5, -np.inf), np.full(1000, 0.5)
    )
    rate = identification_rate(found, 1)
    assert rate is not None
    low, high = wilson(rate.value, 40)
    assert rate.high - rate.low > 0.9 * (high - low)


def test_probes_of_one_kind_have_the_measures_of_that_kind() -> None:
    scores, of_probe, of_gallery = scores_and_people(2)
    found = outcomes(scores, of_probe, of_gallery)
    for kind in (True, False):
        chosen = found.mated == kind
        part = Outcomes(*(values[chosen] for values in vars(found).values()))
        report = identification_report(part, RANKS, [0.3])
        assert (len(report.identification_rates), report.curve is None) == (
            (RANKS, True) if kind else (0, False)
        )
        assert [point.asked for point in report.points] == ([None] if kind else [None, *FPIRS])
        assert all((point.fnir is None, point.fpir is None) == (not kind, kind) for point in report.points)
        told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        assert ("identification_rates_reason" in told) != kind
        for point in told["points"]:
            reason = point["fpir_reason"] if kind else point["fnir_reason"]
            assert reason == f"no {'non-mated' if kind else 'mated'} probes"


def test_probes_without_any_candidate_are_missed_and_never_accepted() -> None:
    nothing = np.full(4, -np.inf)
    found = Outcomes(
        np.arange(4), np.array([True, True, False, False]), np.zeros(4, np.int64), nothing, nothing
    )
    report = identification_report(found, 3, [0.2])
    assert [rate.value for rate in report.identification_rates] == [0, 0, 0]
    for point in report.points:
        assert point.fpir is not None
        assert point.fnir is not None
        assert (point.fpir.value, point.fnir.value) == (0, 1)
    json.dumps(report.to_dict(), allow_nan=False)
