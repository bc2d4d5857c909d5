"""Whom each row of a feature set shows, and which rows are one picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import basename, dirname, splitext

from face_analysis.errors import UsageError
from face_analysis.matching.features.feature_set import LABEL, SUBJECT, FeatureSet


def picture(path: str) -> str:
    """`parent/stem`: rows that have this in common are one picture, and never compared."""
    folder, _, name = path.rpartition("/")
    parent = folder.rstrip("/").rpartition("/")[2]
    stem = splitext(name)[0]
    return f"{parent}/{stem}" if parent else stem


def _stem(path: str) -> str:
    return splitext(basename(path))[0]


PATH_RULES: dict[str, Callable[[str], str]] = {
    "original": lambda path: _stem(path).split("_")[0],
    "CHIYA": lambda path: _stem(path)[:-1],
    "CHIYA_VAL": lambda path: picture(path)[1:-4],
    "PUBLIC_IVS": lambda path: basename(dirname(path)),
}
"""How the original system told subjects from paths: the name up to its first `_`, or by data set."""


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
    unknown = subjects.count("")
    if unknown or len(subjects) != len(features):
        first = features.paths[subjects.index("")] if unknown else features.paths[0]
        raise UsageError(
            f"{features.folder}: the subject of {unknown or len(features)} of {len(features)} rows is not "
            f"known (such as {first}); name another --subject, or give a --subject_pattern for their paths"
        )
    return subjects


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
