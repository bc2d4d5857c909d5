"""What each row of a feature set shows: which subject, which picture, which demographic group."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from posixpath import basename, dirname, splitext

import numpy as np

from face_analysis.datasets.attributes import ATTRIBUTES, GROUP_NAMES, group_index
from face_analysis.errors import FeatureSetError, UsageError
from face_analysis.matching.features.feature_set import INDEX, LABEL, SUBJECT, FeatureSet

log = logging.getLogger(__name__)


def original_label(path: str) -> str:
    """`parent/stem`, by which the original system knows a picture: equal labels are never compared."""
    parent = basename(dirname(path).rstrip("/"))
    return f"{parent}/{_stem(path)}" if parent else _stem(path)


def _stem(path: str) -> str:
    return splitext(basename(path))[0]


PATH_RULES: dict[str, Callable[[str], str]] = {
    "folder": lambda path: basename(dirname(path)),
    "original": lambda path: _stem(path).split("_")[0],
    "CHIYA": lambda path: _stem(path)[:-1],
    "CHIYA_VAL": lambda path: original_label(path)[1:-4],
    "PUBLIC_IVS": lambda path: basename(dirname(path)),
}
"""Subjects by the path of an image: the name of its folder, or a rule of the original system. The rule
`original` takes the file name up to its first `_`; the others belong to a data set each."""
ORIGINAL_RULES = tuple(name for name in PATH_RULES if name != "folder")
BETWEEN_GROUPS = "/"


def subjects_of(features: FeatureSet, rule: str | None = None, pattern: str | None = None) -> list[str]:
    """The subject of each row. Raises UsageError as `find_subjects`, and where a subject is not known."""
    subjects, unknown = find_subjects(features, rule, pattern)
    if unknown:
        raise UsageError(unknown)
    return subjects


def find_subjects(
    features: FeatureSet, rule: str | None = None, pattern: str | None = None
) -> tuple[list[str], str]:
    """The subject of each row, and ""; or none, and the reason why a subject is not known.

    `rule` is a column of the index (default: `subject`, or `label` where that is empty) or one of PATH_RULES;
    `pattern` a regular expression, whose one group, searched in the path, is the subject. Raises UsageError
    where both are given, or the pattern is wrong.
    """
    if rule is not None and pattern is not None:
        raise UsageError("give --subject or --subject_pattern, not both")
    column = _default_column(features) if rule is None else rule
    if pattern is not None:
        subjects = _by_pattern(features, pattern)
    elif column in PATH_RULES:
        subjects = [PATH_RULES[column](path) for path in features.paths]
    elif rule is not None and rule not in features.columns:
        return [], (
            f"{features.name}: the index has no column `{rule}`; "
            f"name one of its columns, or one of {', '.join(PATH_RULES)}"
        )
    else:
        subjects = features.columns.get(column, [""] * len(features))
    unknown = [path for path, subject in zip(features.paths, subjects, strict=True) if not subject]
    return ([], _unknown_text(features, unknown)) if unknown else (subjects, "")


def naming_conflict(probes: FeatureSet, gallery: FeatureSet) -> str:
    """Why the columns that subjects come from by default do not mean the same in both sets, "" if they do."""
    if _default_column(probes) == _default_column(gallery):
        return ""
    return (
        f"{probes.name} and {gallery.name}: one names people by `{SUBJECT}`, the other by `{LABEL}` "
        "(class codes): give --subject, or extract both with lists that have the same column"
    )


def check_same_naming(probes: FeatureSet, gallery: FeatureSet) -> None:
    """Raise UsageError for a `naming_conflict`; warn where two sources have class codes alone."""
    if conflict := naming_conflict(probes, gallery):
        raise UsageError(conflict)
    if _default_column(probes) == LABEL and probes.source != gallery.source:
        log.warning(
            "people are known by class codes (`%s`): equal codes of %s and %s are taken for one person",
            *(LABEL, probes.name, gallery.name),
        )


def pictures_of(sides: Sequence[FeatureSet]) -> list[list[str]]:
    """A name for the picture of each row of each set: rows with one name show one picture.

    A picture is its path in its source. Where every set says its source, paths are made absolute, so that the
    same path in two sources is two pictures, and one file under two ways to write its path is one. Where a
    set does not say, paths are compared as they are written.
    """
    if any(features.source is None for features in sides):
        return [[os.path.normpath(path) for path in features.paths] for features in sides]
    return [_absolute(features.paths, str(features.source)) for features in sides]


def groups_of(features: FeatureSet, columns: Sequence[str]) -> list[str]:
    """The name of each row's group, "" where a column does not say; of several columns `name/name`.

    The codes of race and gender become names, ages in years become bands; names and bands, and other columns,
    are taken as they are. Raises UsageError for a column that the index lacks, FeatureSetError for a value
    that is none of these.
    """
    if not columns:
        return [""] * len(features)
    named = [_group_names(features, column) for column in columns]
    return [BETWEEN_GROUPS.join(names) if all(names) else "" for names in zip(*named, strict=True)]


def _default_column(features: FeatureSet) -> str:
    return SUBJECT if any(features.columns.get(SUBJECT, [])) else LABEL


def _by_pattern(features: FeatureSet, pattern: str) -> list[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--subject_pattern {pattern}: not a regular expression ({error})") from error
    if expression.groups != 1:
        raise UsageError(f"--subject_pattern {pattern}: put the subject, and it alone, in parentheses")
    found = (expression.search(path) for path in features.paths)
    return [match[1] or "" if match else "" for match in found]


def _unknown_text(features: FeatureSet, unknown: Sequence[str]) -> str:
    return (
        f"{features.name}: the subject of {len(unknown)} of {len(features)} rows is not known (such "
        f"as {unknown[0]}). Extract the set with a list that has a column `subject` or `class`, or "
        f"say who they are: --subject folder (name of the image's folder), --subject COLUMN (of {INDEX}), "
        f"--subject {' or '.join(ORIGINAL_RULES)} (rules of the original system), or --subject_pattern with "
        "a regular expression for the path"
    )


def _absolute(paths: Sequence[str], source: str) -> list[str]:
    real_folder = lru_cache(maxsize=None)(os.path.realpath)

    def follow_folders(path: str) -> str:
        """Follow links in the folders of an absolute path, as `extract` does in the path of a source."""
        folder, _, name = path.rpartition("/")
        return f"{real_folder(folder or '/')}/{name}"

    return [
        follow_folders(path) if os.path.isabs(path) else os.path.normpath(os.path.join(source, path))  # noqa: PTH117, PTH118
        for path in paths
    ]


def _group_names(features: FeatureSet, column: str) -> list[str]:
    if column not in features.columns:
        raise UsageError(f"{features.name}: the index has no column `{column}` to group by; name another")
    values = features.columns[column]
    for attribute in ATTRIBUTES:
        if attribute == column:
            names = (*GROUP_NAMES[attribute], "")  # an unknown code, -1, takes the last
            if set(values) <= set(names):
                return values
            try:
                codes = np.array([round(float(value or -1)) for value in values], np.int64)
            except (ValueError, OverflowError) as error:
                raise FeatureSetError(
                    f"{features.name}: column `{column}`: {error}; give codes, or {', '.join(names[:-1])}"
                ) from error
            return [names[place] for place in group_index(attribute, codes)]
    return values
