"""The candidates of a 1:N search: what is kept of each probe, written and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.evaluation.identification import Outcomes
from face_analysis.files import write_csv
from face_analysis.matching.comparison import Comparison, Numbers, Records

NO_SCORE = -2.0
"""Lower than every cosine."""
CANDIDATE = np.dtype([("row", np.int64), ("score", np.float64)])
"""A row of the gallery, -1 where there are no more, and its cosine to 9 decimals, NO_SCORE there.

Candidates are arrays (P, K): those of P probes, best first; equal scores in the order of their rows.
"""
ROWS, SCORES = "rows", "scores"
HEADER = ("probe", "rank", "score", "gallery", "subject", "accepted")


def no_candidates(count: int, top: int) -> Records:
    """The candidates of `count` probes before anything is searched."""
    return np.full((count, top), np.array((-1, NO_SCORE), CANDIDATE))


def best_of(found: Records, probe: Numbers, row: Numbers, score: NDArray[np.float64]) -> Records:
    """The best K of candidates and of more pairs; `probe` (M,) says which of the P each belongs to."""
    count, top = found.shape
    probes = np.append(np.repeat(np.arange(count), top), probe)
    rows, scores = np.append(found["row"], row), np.append(found["score"], score)
    order = np.lexsort((rows, -scores, probes))
    first = np.searchsorted(probes[order], np.arange(count))
    best = order[np.arange(len(order)) - first[probes[order]] < top].reshape(count, top)
    kept = np.empty((count, top), CANDIDATE)
    kept["row"], kept["score"] = rows[best], scores[best]
    return kept


def recall(found: Records, exact: Records) -> float:
    """The fraction of the exact candidates, 0 to 1, that were found, or others with as high a score."""
    there = (exact["row"] >= 0).sum(axis=1)
    last = np.take_along_axis(exact["score"], np.maximum(there - 1, 0)[:, None], axis=1)
    hits = ((found["row"] >= 0) & (found["score"] >= last)).sum(axis=1)
    return float(np.minimum(hits, there).sum() / max(there.sum(), 1))


def records_of(found: Records) -> Iterator[dict[str, Any]]:
    """The candidates of each probe as plain lists, best first."""
    for rows, scores in zip(found["row"].tolist(), found["score"].tolist(), strict=True):
        there = sum(row >= 0 for row in rows)
        yield {ROWS: rows[:there], SCORES: scores[:there]}


def write_candidates(
    path: Path,
    comparison: Comparison,
    records: Iterable[dict[str, Any]],
    subjects: Sequence[str],
    threshold: float | None,
) -> None:
    """Write `candidate_rows` as a whole file. Raises WriteError."""
    write_csv(path, HEADER, candidate_rows(comparison, records, subjects, threshold))


def candidate_rows(
    comparison: Comparison,
    records: Iterable[dict[str, Any]],
    subjects: Sequence[str],
    threshold: float | None,
) -> Iterator[tuple[object, ...]]:
    """A row for each candidate of each probe, of the columns HEADER; `subjects` are those of the gallery.

    `accepted` is 1 where the score is at least the threshold, 0 where not, and empty without one.
    """
    probes, gallery = comparison.probes.features.paths, comparison.gallery.features.paths
    for probe, record in zip(probes, records, strict=True):
        for rank, (row, score) in enumerate(zip(record[ROWS], record[SCORES], strict=True), 1):
            accepted = None if threshold is None else int(score >= threshold)
            yield probe, rank, f"{score:.6f}", gallery[row], subjects[row], accepted


def outcomes_of(comparison: Comparison, records: Iterable[dict[str, Any]]) -> Outcomes:
    """Where each probe's person was found, and whether they could be; subjects must be known."""
    probes, gallery = comparison.probes.rows, comparison.gallery.rows
    count = len(probes)
    found = Outcomes(
        np.ascontiguousarray(probes["subject"]),
        _mated(comparison),
        np.zeros(count, np.int64),
        np.full(count, -np.inf),
        np.full(count, -np.inf),
    )
    for probe, record in enumerate(records):
        found.top_score[probe] = record[SCORES][0] if record[SCORES] else -np.inf
        mates = np.flatnonzero(gallery["subject"][record[ROWS]] == probes["subject"][probe])
        if len(mates):
            found.rank[probe], found.mate_score[probe] = mates[0] + 1, record[SCORES][mates[0]]
    return found


def _mated(comparison: Comparison) -> NDArray[np.bool_]:
    """Whether the gallery has the person of each probe (P,), in another picture."""
    probes, gallery = comparison.probes.rows, comparison.gallery.rows
    rows = np.bincount(gallery["subject"], minlength=len(comparison.subjects))
    own = Counter(gallery[["subject", "picture"]][gallery["picture"] >= 0].tolist())
    people = probes[["subject", "picture"]].tolist()
    return np.array([rows[subject] > own[subject, picture] for subject, picture in people])
