from __future__ import annotations

import numpy as np

from face_analysis.auditing.copies import Copy
from face_analysis.auditing.leaks import Leak, lookalikes, shared_pictures, shared_subjects

PART = np.array([0, 0, 0, 1, 1, 2])


def test_copies_in_two_lists_leak_and_copies_in_one_do_not() -> None:
    groups = [tuple(Copy(row, "near", 0.9) for row in rows) for rows in ((0, 1), (2, 4), (3, 5))]
    found = shared_pictures(groups, PART)
    assert [(leak.kind, leak.what, leak.rows) for leak in found] == [
        ("picture", "1", (2, 4)),
        ("picture", "2", (3, 5)),
    ]


def test_subjects_of_two_lists_leak_and_unnamed_ones_do_not() -> None:
    found = shared_subjects(["ann", "ann", "", "", "bob", "ann"], PART)
    assert [(leak.what, leak.rows) for leak in found] == [("ann", (0, 1, 5))]


def test_faces_look_alike_from_the_threshold_on_and_across_lists_only() -> None:
    angles = np.deg2rad([0, 1, 90, 20, 200, 100])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = {leak.rows: float(leak.what) for leak in lookalikes(embeddings, PART, least=0.9)}
    assert {rows: round(value, 2) for rows, value in found.items()} == {
        (0, 3): round(float(np.cos(np.deg2rad(20))), 2),
        (1, 3): round(float(np.cos(np.deg2rad(19))), 2),
        (2, 5): round(float(np.cos(np.deg2rad(10))), 2),
    }


def test_a_face_is_told_with_its_best_match_unless_its_picture_is_known_to_leak() -> None:
    angles = np.deg2rad([0, 1, 50, 2, 5, 51])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    best = {(0, 3), (1, 3), (1, 4), (2, 5)}
    assert {leak.rows for leak in lookalikes(embeddings, PART, least=0.9)} == best
    known = [Leak("picture", "0", (1, 3)), Leak("subject", "ann", (2, 5))]
    assert {leak.rows for leak in lookalikes(embeddings, PART, known, 0.9)} == {(0, 3), (1, 4)}


def test_images_without_a_face_look_like_nobody() -> None:
    embeddings = np.zeros((6, 4), np.float32)
    assert lookalikes(embeddings, PART) == []
