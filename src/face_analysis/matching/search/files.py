"""What a search keeps of each probe, and what it writes and measures of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.evaluation.identification import Outcomes
from face_analysis.files import write_csv
from face_analysis.matching.comparison import Comparison
from face_analysis.matching.search.search import Candidates

ROWS, SCORES = "rows", "scores"
HEADER = ("probe", "rank", "score", "gallery", "subject", "accepted")
Record = dict[str, Any]


def records_of(candidates: Candidates) -> Iterator[Record]:
    """The candidates of each probe as plain lists, best first."""
    for rows, scores in zip(candidates.row.tolist(), candidates.score.tolist(), strict=True):
        there = sum(row >= 0 for row in rows)
        yield {ROWS: rows[:there], SCORES: scores[:there]}


def write_candidates(
    path: Path,
    comparison: Comparison,
    records: Iterable[Record],
    subjects: Sequence[str],
    threshold: float | None,
) -> None:
    """Write a row for each candidate of each probe, as a whole file; `subjects` are those of the gallery.

    `accepted` is 1 where the score is at least the threshold, 0 where not, and empty without one. Raises
    WriteError.
    """
    probes, gallery = comparison.probes.features.paths, comparison.gallery.features.paths
    write_csv(
        path,
        HEADER,
        (
            (
                probe,
                rank,
                f"{score:.6f}",
                gallery[row],
                subjects[row],
                None if threshold is None else int(score >= threshold),
            )
            for probe, record in zip(probes, records, strict=True)
            for rank, (row, score) in enumerate(zip(record[ROWS], record[SCORES], strict=True), 1)
        ),
    )


def outcomes_of(comparison: Comparison, records: Iterable[Record]) -> Outcomes:
    """Where each probe's person was found, and whether they could be; subjects must be known."""
    probes, gallery = comparison.probes, comparison.gallery
    count = len(probes)
    found = Outcomes(
        probes.subject,
        _mated(comparison),
        np.zeros(count, np.int64),
        np.full(count, -np.inf),
        np.full(count, -np.inf),
    )
    for probe, record in enumerate(records):
        found.top_score[probe] = record[SCORES][0] if record[SCORES] else -np.inf
        mates = np.flatnonzero(gallery.subject[record[ROWS]] == probes.subject[probe])
        if len(mates):
            found.rank[probe], found.mate_score[probe] = mates[0] + 1, record[SCORES][mates[0]]
    return found


def _mated(comparison: Comparison) -> NDArray[np.bool_]:
    """Whether the gallery has the person of each probe (P,), in another picture."""
    probes, gallery = comparison.probes, comparison.gallery
    rows = np.bincount(gallery.subject, minlength=len(comparison.subjects))
    shared = gallery.picture >= 0
    own = Counter(zip(gallery.subject[shared].tolist(), gallery.picture[shared].tolist(), strict=True))
    people = zip(probes.subject.tolist(), probes.picture.tolist(), strict=True)
    return np.array([rows[subject] > own[subject, picture] for subject, picture in people])
