"""Error rates of 1:N search, from what it gave for each probe. Terms of ISO/IEC 19795-1:2021.

A probe is mated where its person is in the gallery, in another picture. Closed set: the identification rate
at rank k is the fraction of mated probes with their person among the first k candidates; over k it is the
CMC. Open set: FPIR is the fraction of non-mated probes for which any candidate reaches a threshold, FNIR the
fraction of mated probes without their person among the candidates that reach it.

A person who is hard to recognise is so in all of their probes, so the intervals are those of mated pairs in
`intervals.py`, over the people of the probes. They hold for this gallery at this threshold: what
another gallery, or other non-mated probes to take the threshold from, would change is not in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.evaluation.error_rates import Curve, at_fmr
from face_analysis.evaluation.intervals import Estimate, fnmr_estimate
from face_analysis.json_files import with_reasons

FPIRS = (1e-1, 1e-2, 1e-3)
NO_MATED, NO_NON_MATED = "no mated probes", "no non-mated probes"
REASONS = {"asked": "the threshold was given", "fpir": NO_NON_MATED, "fnir": NO_MATED}


@dataclass(frozen=True)
class Outcomes:
    """What a search gave for each of P probes.

    `person` int64 numbers whom a probe shows; `mated` bool says whether the gallery has another picture of
    them; `rank` int64 is the place, from 1, of the first candidate who is the person, 0 where there is none,
    and `mate_score` float64 its score, -inf there; `top_score` is the first candidate's, -inf without any.
    """

    person: NDArray[np.int64]
    mated: NDArray[np.bool_]
    rank: NDArray[np.int64]
    mate_score: NDArray[np.float64]
    top_score: NDArray[np.float64]


@dataclass(frozen=True)
class OpenSetPoint:
    """The rates at a threshold, None without probes of the kind.

    `asked` is the FPIR that the threshold is the lowest for, None for a threshold that was given. `supported`
    is False where the non-mated probes are too few to tell so small a rate: fewer than 10 / asked.
    """

    asked: float | None
    threshold: float
    fpir: Estimate | None
    fnir: Estimate | None
    supported: bool


@dataclass(frozen=True)
class IdentificationReport:
    """The measures of a search; `identification_rates` are at ranks 1, 2 ..., empty without mated probes.

    `curve` has FPIR as its `fmr` and FNIR as its `fnmr`; None without non-mated probes.
    """

    mated: int
    non_mated: int
    identification_rates: tuple[Estimate, ...]
    points: tuple[OpenSetPoint, ...]
    curve: Curve | None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and finite numbers, for JSON, without the curve; what is None has a reason."""
        found: dict[str, Any] = {"mated": self.mated, "non_mated": self.non_mated}
        found["identification_rates"] = [asdict(rate) for rate in self.identification_rates]
        if not self.identification_rates:
            found["identification_rates_reason"] = NO_MATED
        found["points"] = [with_reasons(asdict(point), REASONS) for point in self.points]
        return found


def identification_report(
    outcomes: Outcomes, ranks: int, thresholds: Sequence[float] = ()
) -> IdentificationReport:
    """Measure a search of `ranks` candidates, at each of FPIRS and at thresholds that are given."""
    mated = int(outcomes.mated.sum())
    curve = _curve(outcomes) if mated < len(outcomes.mated) else None
    rates = [identification_rate(outcomes, rank) for rank in range(1, ranks + 1)]
    points = [_point(outcomes, threshold, None, supported=True) for threshold in thresholds]
    if curve is not None:
        operating_points = (at_fmr(curve, asked) for asked in FPIRS)
        points += [
            _point(outcomes, one.threshold, one.asked, supported=one.supported)
            for one in operating_points
            if one.threshold is not None
        ]
    return IdentificationReport(
        mated,
        len(outcomes.mated) - mated,
        tuple(rate for rate in rates if rate is not None),
        tuple(points),
        curve,
    )


def identification_rate(outcomes: Outcomes, rank: int) -> Estimate | None:
    """The fraction of mated probes whose person is among the first `rank` candidates; None without any."""
    return _rate((outcomes.rank >= 1) & (outcomes.rank <= rank), outcomes.mated, outcomes.person)


def _point(outcomes: Outcomes, threshold: float, asked: float | None, *, supported: bool) -> OpenSetPoint:
    fpir = _rate(outcomes.top_score >= threshold, ~outcomes.mated, outcomes.person)
    fnir = _rate(outcomes.mate_score < threshold, outcomes.mated, outcomes.person)
    return OpenSetPoint(asked, threshold, fpir, fnir, supported)


def _rate(hits: NDArray[np.bool_], among: NDArray[np.bool_], person: NDArray[np.int64]) -> Estimate | None:
    """How many of some probes are hit, with the interval over their people."""
    people = int(person.max(initial=-1)) + 1
    return fnmr_estimate(
        np.bincount(person[hits & among], minlength=people), np.bincount(person[among], minlength=people)
    )


def _curve(outcomes: Outcomes) -> Curve:
    """The rates at every score that occurs; FNIR is NaN without mated probes."""
    mates = np.sort(outcomes.mate_score[outcomes.mated])
    others = np.sort(outcomes.top_score[~outcomes.mated])
    scores = np.unique(np.concatenate([mates, others]))
    scores = scores[np.isfinite(scores)]
    thresholds = np.append(scores, np.nextafter(scores.max(initial=-1), np.inf))
    fpir = 1 - np.searchsorted(others, thresholds, side="left") / len(others)
    fnir = np.full(len(thresholds), np.nan)
    if len(mates):
        fnir = np.searchsorted(mates, thresholds, side="left") / len(mates)
    return Curve(thresholds, fpir, fnir, len(mates), len(others))
