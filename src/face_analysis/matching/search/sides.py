"""Who is looked for in whom, and whether it is known who they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from face_analysis.errors import UsageError
from face_analysis.matching.comparison import Comparison, compare
from face_analysis.matching.features.feature_set import PATH, FeatureSet
from face_analysis.matching.subjects import check_alike, subjects_of


@dataclass(frozen=True)
class SearchSides:
    """Probes and gallery; `subjects` are those of the gallery's rows, "" where they are not known.

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
    subjects, unknown = [""] * len(gallery), ""
    try:
        subjects = subjects_of(gallery, subject, subject_pattern)
        subjects_of(probes, subject, subject_pattern)
        if subject is subject_pattern is None:
            check_alike(probes, gallery)
    except UsageError as error:
        if not any(subjects) and (subject is not None or subject_pattern is not None):
            raise
        unknown = str(error)
    rule, pattern = (PATH, None) if unknown else (subject, subject_pattern)
    comparison = compare(probes, gallery, subject=rule, subject_pattern=pattern)
    return SearchSides(comparison, subjects, unknown)
