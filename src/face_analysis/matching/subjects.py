"""Whom each row of a feature set shows."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from posixpath import basename, dirname, splitext

from face_analysis.errors import UsageError
from face_analysis.matching.features.feature_set import INDEX, LABEL, SUBJECT, FeatureSet
from face_analysis.matching.pictures import original_label


def _stem(path: str) -> str:
    return splitext(basename(path))[0]


log = logging.getLogger(__name__)
PATH_RULES: dict[str, Callable[[str], str]] = {
    "folder": lambda path: basename(dirname(path)),
    "original": lambda path: _stem(path).split("_")[0],
    "CHIYA": lambda path: _stem(path)[:-1],
    "CHIYA_VAL": lambda path: original_label(path)[1:-4],
    "PUBLIC_IVS": lambda path: basename(dirname(path)),
}
"""Subjects by the path of an image: its folder's name, or as the original system told them, which is the file
name up to its first `_`, or a rule of a data set."""
ORIGINAL_RULES = tuple(name for name in PATH_RULES if name != "folder")


def subjects_of(features: FeatureSet, rule: str | None = None, pattern: str | None = None) -> list[str]:
    """The subject of each row.

    `rule` is a column of the index (default: `subject`, or `label` where that is empty) or one of PATH_RULES;
    `pattern` a regular expression, whose one group, searched in the path, is the subject. Raises UsageError
    where both are given, what is given does not fit, or the subject of a row is unknown.
    """
    if rule is not None and pattern is not None:
        raise UsageError("give --subject or --subject_pattern, not both")
    if pattern is not None:
        subjects = _by_pattern(features, pattern)
    elif rule in PATH_RULES:
        subjects = [PATH_RULES[rule](path) for path in features.paths]
    else:
        subjects = features.columns.get(_column(features, rule), [])
    unknown = [row for row, subject in enumerate(subjects) if not subject]
    if unknown or len(subjects) != len(features):
        raise UsageError(_not_known(features, len(unknown) or len(features), unknown[0] if unknown else 0))
    return subjects


def check_alike(probes: FeatureSet, gallery: FeatureSet) -> None:
    """Whether the columns that subjects come from by default mean the same in both sets.

    Raises UsageError where one has names and the other class codes alone; class codes of two sources are said
    to be taken for the same people.
    """
    columns = {_column(features, None) for features in (probes, gallery)}
    if len(columns) > 1:
        raise UsageError(
            f"{probes.folder} and {gallery.folder}: one tells people by `{SUBJECT}`, the other by `{LABEL}` "
            "(class codes): give --subject, or extract both with lists that have the same column"
        )
    if columns == {LABEL} and probes.source != gallery.source:
        log.warning(
            "people are told by class codes (`%s`): equal codes of %s and %s are taken for one person",
            *(LABEL, probes.folder, gallery.folder),
        )


def _not_known(features: FeatureSet, count: int, first: int) -> str:
    return (
        f"{features.folder}: the subject of {count} of {len(features)} rows is not known (such as "
        f"{features.paths[first]}). Extract the set with a list that has a column `subject` or `class`, or "
        f"say who they are: --subject folder (name of the image's folder), --subject COLUMN (of {INDEX}), "
        f"--subject {' or '.join(ORIGINAL_RULES)} (rules of the original system), or --subject_pattern with "
        "a regular expression for the path"
    )


def _column(features: FeatureSet, rule: str | None) -> str:
    if rule is None:
        return SUBJECT if any(features.columns.get(SUBJECT, [])) else LABEL
    if rule not in features.columns:
        raise UsageError(
            f"{features.folder}: the index has no column `{rule}`; "
            f"name one of its columns, or one of {', '.join(PATH_RULES)}"
        )
    return rule


def _by_pattern(features: FeatureSet, pattern: str) -> list[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--subject_pattern {pattern}: not a regular expression ({error})") from error
    if expression.groups != 1:
        raise UsageError(f"--subject_pattern {pattern}: put the subject, and it alone, in parentheses")
    found = (expression.search(path) for path in features.paths)
    return [match[1] or "" if match else "" for match in found]
