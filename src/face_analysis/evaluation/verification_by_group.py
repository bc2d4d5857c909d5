"""False matches and false non-matches by group, all at one threshold, and how far groups lie apart.

A threshold that each group had to itself would hide what people meet where a system has one for all. Terms:
ISO/IEC 19795-10 (2024). A rate is compared with the geometric mean over groups, and the highest with the
lowest, as in NIST IR 8280 (2019) and IR 8429 (2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from face_analysis.evaluation.error_rates import MIN_EXPECTED_ERRORS, NO_MATED, NO_NON_MATED
from face_analysis.evaluation.intervals import Estimate
from face_analysis.json_files import with_reasons

MIN_PEOPLE = 10
"""Fewer people do not stand for a group, whatever the number of pairs."""
FEW_GROUPS, RATE_OF_ZERO = "fewer than two groups have enough pairs", "a group has a rate of 0"


@dataclass(frozen=True)
class Rates:
    """The false match and false non-match rate; None without non-mated or mated pairs."""

    fmr: Estimate | None
    fnmr: Estimate | None


@dataclass(frozen=True)
class GroupRates:
    """The rates of pairs of an image of group `first` and one of `second`.

    `people` are in the group that has fewer. A rate is supported where there are MIN_PEOPLE or more, and
    so many pairs that MIN_EXPECTED_ERRORS of them were in error at the rate of all pairs together.
    """

    first: str
    second: str
    people: int
    rates: Rates
    fmr_supported: bool
    fnmr_supported: bool


@dataclass(frozen=True)
class Differential:
    """How far the supported rates of groups, by name, lie apart.

    `ratios` are to the geometric mean. All but `rates` are None where fewer than two groups are supported or
    one has a rate of 0, to which nothing has a ratio; `reason` says which.
    """

    rates: dict[str, float]
    geometric_mean: float | None = None
    ratios: dict[str, float] | None = None
    max_to_geometric_mean: float | None = None
    max_to_min: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class DemographicReport:
    """The rates at one `threshold`, which has the false match rate `fmr_asked` on all pairs of the set.

    `pairs` has every pair of groups that was compared. What concerns one group alone are its pairs with
    itself; the differentials are over these.
    """

    threshold: float
    fmr_asked: float
    overall: Rates
    pairs: tuple[GroupRates, ...]
    fmr_differential: Differential
    fnmr_differential: Differential

    @property
    def groups(self) -> tuple[GroupRates, ...]:
        """Each group with itself."""
        return tuple(pair for pair in self.pairs if pair.first == pair.second)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and finite numbers, for JSON; what is None has a reason beside it."""
        found = asdict(self)
        for rates in (found["overall"], *(pair["rates"] for pair in found["pairs"])):
            rates |= with_reasons(rates, {"fmr": NO_NON_MATED, "fnmr": NO_MATED})
        return found


def demographic_report(
    threshold: float,
    fmr_asked: float,
    overall: Rates,
    pairs: Mapping[tuple[str, str], Rates],
    people: Mapping[str, int],
) -> DemographicReport:
    """What to say of the rates of pairs of groups; `people` says how many each group has."""
    measured = []
    for (first, second), rates in pairs.items():
        fewer = min(people[first], people[second])
        fmr = _supported(rates.fmr, overall.fmr, fewer)
        fnmr = _supported(rates.fnmr, overall.fnmr, fewer)
        measured.append(GroupRates(first, second, fewer, rates, fmr, fnmr))
    alone = [group for group in measured if group.first == group.second]
    fmrs = {one.first: one.rates.fmr.value for one in alone if one.rates.fmr and one.fmr_supported}
    fnmrs = {one.first: one.rates.fnmr.value for one in alone if one.rates.fnmr and one.fnmr_supported}
    return DemographicReport(
        threshold, fmr_asked, overall, tuple(measured), differential(fmrs), differential(fnmrs)
    )


def differential(rates: Mapping[str, float]) -> Differential:
    """How far the rates of groups, by name, lie apart."""
    values = np.array(list(rates.values()))
    if len(values) < 2:
        return Differential(dict(rates), reason=FEW_GROUPS)
    if not (values > 0).all():
        return Differential(dict(rates), reason=RATE_OF_ZERO)
    mean = float(np.exp(np.log(values).mean()))
    ratios = {name: value / mean for name, value in rates.items()}
    return Differential(dict(rates), mean, ratios, max(ratios.values()), float(values.max() / values.min()))


def _supported(rate: Estimate | None, overall: Estimate | None, people: int) -> bool:
    if rate is None or overall is None:
        return False
    return people >= MIN_PEOPLE and rate.count * overall.value >= MIN_EXPECTED_ERRORS
