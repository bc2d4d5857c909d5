"""Which detections are one face, which lie in the photo, and which of several are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from face_analysis.types import Detection

OVERLAP = 0.3
"""Intersection over union from which two boxes are one face."""

Wanted = Literal["all", "largest", "centre"]


def distinct(faces: Iterable[Detection]) -> list[Detection]:
    """The faces, best score first, without those that overlap a better one (non-maximum suppression)."""
    kept: list[Detection] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face, other) < OVERLAP for other in kept):
            kept.append(face)
    return kept


def overlap(face: Detection, other: Detection) -> float:
    """Intersection over union of the two boxes, 0 to 1."""
    (x, y, width, height), (u, v, across, down) = face.box, other.box
    shared = max(0.0, min(x + width, u + across) - max(x, u)) * max(
        0.0, min(y + height, v + down) - max(y, v)
    )
    union = width * height + across * down - shared
    return shared / union if union > 0 else 0.0


def inside(face: Detection, shape: tuple[int, ...]) -> bool:
    """Whether the middle of the face lies in a photo of this shape (H, W, ...)."""
    x, y = face.landmarks.mean(axis=0)
    return bool(0 <= x < shape[1] and 0 <= y < shape[0])


def wanted(
    faces: Sequence[Detection], which: Wanted, shape: tuple[int, ...], min_size: float = 0
) -> list[Detection]:
    """All faces, the largest, or the one nearest the photo's middle; those under `min_size` pixels left out.

    The size of a face is the longer side of its box. All come from left to right.
    """
    large = [face for face in faces if max(face.box[2:]) >= min_size]
    if which == "all" or not large:
        return sorted(large, key=lambda face: face.box[:2])
    if which == "largest":
        return [max(large, key=lambda face: face.box[2] * face.box[3])]
    middle = np.array([shape[1], shape[0]]) / 2
    return [min(large, key=lambda face: float(np.linalg.norm(face.landmarks.mean(axis=0) - middle)))]
