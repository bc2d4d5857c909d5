"""1:N search: the gallery rows most like each probe, exact, in memory that does not grow with either set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from face_analysis.errors import UsageError
from face_analysis.matching.blocks import exact_cosines, same_picture_pairs
from face_analysis.matching.candidates import NO_SCORE, best_of, no_candidates
from face_analysis.matching.comparison import Comparison, Numbers, Panel, Records, compare
from face_analysis.matching.features.feature_set import LENGTH_TOLERANCE, PATH, FeatureSet
from face_analysis.matching.labels import find_subjects, naming_conflict, subjects_of

BYTES_PER_PAIR = 128
"""Held at most for each pair of a block, where all its scores are equal."""
FEWEST_ROWS, MOST_ROWS = 64, 4096
MARGIN = 5 * LENGTH_TOLERANCE
"""A product may rank a pair too low by this: lengths are 1 to LENGTH_TOLERANCE, and products float32."""


@dataclass(frozen=True)
class SearchSides:
    """Who is searched for in whom; `subjects` are those of the gallery's rows, "" where they are not known.

    `unknown` says why those of the probes or the gallery are not known, "" where both are; if it says so, the
    comparison's subjects are paths, and mean nothing.
    """

    comparison: Comparison
    subjects: Sequence[str]
    unknown: str


def search_sides(
    probes: FeatureSet, gallery: FeatureSet, subject: str | None = None, subject_pattern: str | None = None
) -> SearchSides:
    """Both sides of a search. Probes need no subjects, nor does the gallery where no rule is given for them.

    Raises as `compare`, and UsageError for a rule that does not fit the gallery.
    """
    given = subject is not None or subject_pattern is not None
    unknown = find_subjects(gallery, subject, subject_pattern)[1]
    if unknown and given:
        raise UsageError(unknown)
    gallery_known = not unknown
    unknown = unknown or find_subjects(probes, subject, subject_pattern)[1]
    if not given:
        unknown = unknown or naming_conflict(probes, gallery)
    rule, pattern = (PATH, None) if unknown else (subject, subject_pattern)
    comparison = compare(probes, gallery, subject=rule, subject_pattern=pattern)
    found = comparison.gallery.features  # without rows that are no embeddings
    subjects = subjects_of(found, subject, subject_pattern) if gallery_known else [""] * len(found)
    return SearchSides(comparison, subjects, unknown)


def search(comparison: Comparison, probes: Numbers, top: int, memory: float) -> Iterator[Records]:
    """The `top` candidates of these rows of the probes, a block of them at a time, in their order.

    A gallery row of the probe's own picture is no candidate. `memory` (bytes) bounds a block, beside what
    Python and torch take.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = min(max(int((memory / BYTES_PER_PAIR) ** 0.5), FEWEST_ROWS), MOST_ROWS)
    gallery = np.arange(len(comparison.gallery))
    for start in range(0, len(probes), size):
        rows = comparison.probes.panel(probes[start : start + size], device)
        found = no_candidates(len(rows), top)
        for first in range(0, len(gallery), size):
            columns = comparison.gallery.panel(gallery[first : first + size], device)
            probe, column = _contenders(rows, columns, found)
            scores = exact_cosines(rows.features, columns.features, probe, column)
            found = best_of(found, probe, columns.rows["number"][column], scores)
        yield found


def _contenders(rows: Panel, columns: Panel, found: Records) -> tuple[Numbers, Numbers]:
    """The places in both panels of all pairs that may belong to the best K of their probe."""
    scores = rows.features @ columns.features.T
    row, column = same_picture_pairs(rows, columns)
    scores[torch.from_numpy(row), torch.from_numpy(column)] = -torch.inf
    least = torch.from_numpy(found["score"][:, -1].copy()).to(scores)
    contend = scores >= (torch.maximum(_last_of_best(scores, found.shape[1]), least) - MARGIN)[:, None]
    probe, column = np.nonzero(contend.cpu().numpy())
    return probe, column


def _last_of_best(scores: Tensor, top: int) -> Tensor:
    """The score of each row (P,) that `top` of its columns reach; NO_SCORE where there are fewer."""
    if scores.shape[1] < top:
        return scores.new_full((len(scores),), NO_SCORE)
    return scores.topk(top, sorted=False).values.amin(dim=1).clamp(min=NO_SCORE)
