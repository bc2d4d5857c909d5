from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import gmean

from face_analysis.evaluation.intervals import Estimate
from face_analysis.evaluation.verification_by_group import Rates, demographic_report, differential


def estimate(errors: int, pairs: int) -> Estimate:
    return Estimate(errors / pairs, 0.0, 1.0, pairs)


def rates(false_matches: int, non_mated: int, false_non_matches: int, mated: int) -> Rates:
    return Rates(estimate(false_matches, non_mated), estimate(false_non_matches, mated))


PAIRS = {
    ("asian", "asian"): rates(40, 100_000, 8, 400),
    ("asian", "indian"): rates(3, 100_000, 1, 300),
    ("indian", "indian"): rates(10, 100_000, 30, 600),
    ("other", "other"): rates(0, 9_000, 9, 100),
    ("few", "few"): rates(90, 100_000, 90, 600),
}
PEOPLE = {"asian": 50, "indian": 60, "other": 30, "few": 9}


def test_groups_are_compared_with_the_geometric_mean_and_with_each_other() -> None:
    found = differential({"a": 2e-4, "b": 5e-5, "c": 1e-4})
    assert found.geometric_mean == pytest.approx(gmean([2e-4, 5e-5, 1e-4]))
    assert found.ratios == pytest.approx({"a": 2.0, "b": 0.5, "c": 1.0})
    assert (found.max_to_geometric_mean, found.max_to_min) == (pytest.approx(2), pytest.approx(4))


@pytest.mark.parametrize("few", [{}, {"a": 0.1}, {"a": 0.1, "b": 0.0}])
def test_nothing_has_a_ratio_to_nothing(few: dict[str, float]) -> None:
    found = differential(few)
    assert found.rates == few
    assert found.geometric_mean is found.ratios is found.max_to_min is None
    assert found.reason == (
        "a group has a rate of 0" if len(few) > 1 else "fewer than two groups have enough pairs"
    )


def test_groups_with_too_few_pairs_or_people_are_marked_and_left_out_of_the_comparison() -> None:
    report = demographic_report(0.4, 1e-3, rates(1000, 1_000_000, 100, 4000), PAIRS, PEOPLE)
    marks = {pair.first: (pair.fmr_supported, pair.fnmr_supported) for pair in report.groups}
    # At 1e-3 and 0.025, ten errors take 10,000 non-mated and 400 mated pairs.
    assert marks == {
        "asian": (True, True),
        "indian": (True, True),
        "other": (False, False),
        "few": (False, False),
    }
    assert report.fmr_differential.rates == {"asian": 4e-4, "indian": 1e-4}
    assert report.fmr_differential.max_to_min == pytest.approx(4)
    assert report.fnmr_differential.max_to_min == pytest.approx(0.05 / 0.02)
    across = next(pair for pair in report.pairs if pair.first != pair.second)
    assert (across.people, across.fmr_supported, across.fnmr_supported) == (50, True, False)


def test_a_report_is_plain_json() -> None:
    pairs = {**PAIRS, ("asian", "other"): Rates(None, None)}
    report = demographic_report(
        np.float64(0.4).item(), 1e-3, rates(1000, 1_000_000, 100, 4000), pairs, PEOPLE
    )
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["overall"]["fmr"]["count"] == 1_000_000
    assert found["pairs"][0]["rates"]["fnmr"]["value"] == 0.02
    assert found["pairs"][-1]["rates"] == {
        "fmr": None,
        "fmr_reason": "no non-mated pairs",
        "fnmr": None,
        "fnmr_reason": "no mated pairs",
    }
    assert found["fmr_differential"]["ratios"]["asian"] == pytest.approx(2)
