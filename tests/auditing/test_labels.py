from __future__ import annotations

import numpy as np
import pytest

from face_analysis.auditing.copies import Copy, CopyGroup
from face_analysis.auditing.labels import Rule, clean, contradictions


def group(*rows: int) -> CopyGroup:
    return tuple(Copy(row, "near" if number else "first", 0.95) for number, row in enumerate(rows))


# rows:                  0   1   2   3   4   5   6   7   8   9
LABELS = {
    "age": np.array([20, 20, 31, 40, 50, -1, 7, 7, 60, 61]),
    "race": np.array([0, 0, 0, 1, 1, 2, -1, 4, 3, 3]),
}
GROUPS = [group(0, 1, 2), group(3, 4), group(5, 6, 7), group(8, 9)]
SUBJECTS = ["ann", "", "ann", "", "", "bob", "", "bo", "", ""]
FIRST_LIST = np.zeros(10, np.int64)


def test_known_labels_that_differ_contradict_and_unknown_ones_do_not() -> None:
    found = contradictions(GROUPS, LABELS, SUBJECTS)
    assert {(one.group, one.attribute, one.values) for one in found} == {
        (0, "age", ((0, "20"), (1, "20"), (2, "31"))),
        (1, "age", ((3, "40"), (4, "50"))),
        (2, "race", ((5, "2"), (7, "4"))),
        (2, "subject", ((5, "bob"), (7, "bo"))),
        (3, "age", ((8, "60"), (9, "61"))),
    }


@pytest.mark.parametrize(
    ("rule", "kept", "ages"),
    [
        ("first", [0, 3, 5, 8], [20, 40, -1, 60]),
        ("drop", [], []),
        ("majority", [0], [20]),
    ],
)
def test_one_of_each_group_is_kept_by_the_rule(rule: Rule, kept: list[int], ages: list[int]) -> None:
    cleaning = clean(GROUPS, LABELS, SUBJECTS, FIRST_LIST, rule, {})
    assert np.flatnonzero(cleaning.kept).tolist() == kept
    assert cleaning.labels["age"][kept].tolist() == ages
    assert cleaning.reasons.keys() | cleaning.copy_of.keys() == set(range(10)) - set(kept)
    assert set(cleaning.copy_of.values()) <= set(kept)


def test_the_majority_gives_its_labels_to_the_image_that_is_kept() -> None:
    labels = {"age": np.array([31, 20, -1, 20]), "race": np.array([-1, 2, 2, -1])}
    cleaning = clean([group(0, 1, 2, 3)], labels, [""] * 4, np.zeros(4, np.int64), "majority", {})
    assert np.flatnonzero(cleaning.kept).tolist() == [0]
    assert (cleaning.labels["age"][0], cleaning.labels["race"][0]) == (20, 2)
    assert labels["age"][0] == 31


@pytest.mark.parametrize(("subjects", "kept"), [(["ann", "bob", ""], None), (["ann", "bob", "bob"], "bob")])
def test_the_majority_counts_for_subjects_too(subjects: list[str], kept: str | None) -> None:
    cleaning = clean([group(0, 1, 2)], {}, subjects, np.zeros(3, np.int64), "majority", {})
    assert cleaning.kept.tolist() == [kept is not None, False, False]
    assert kept is None or cleaning.subjects[0] == kept


def test_agreeing_copies_keep_one_image_under_every_rule() -> None:
    labels = {"age": np.array([5, 5, -1, 9])}
    for rule in ("first", "drop", "majority"):
        cleaning = clean([group(0, 1, 2)], labels, [""] * 4, np.zeros(4, np.int64), rule, {3: "cut short"})
        assert np.flatnonzero(cleaning.kept).tolist() == [0]
        assert cleaning.reasons[3] == "cut short"


def test_the_copy_of_the_last_list_is_kept() -> None:
    part = np.array([0, 0, 1, 1])
    cleaning = clean([group(0, 2, 3)], {"age": np.array([1, 2, 1, 1])}, [""] * 4, part, "first", {})
    assert np.flatnonzero(cleaning.kept).tolist() == [1, 2]
