"""A small set in the layout of IJB-C, of generated pictures."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from face_analysis.images.align import TEMPLATE

TEMPLATES = (("7.jpg", 40, 9), ("1.jpg", 12, 3), ("2.jpg", 12, 3), ("3.jpg", 12, 5), ("4.jpg", 40, 9))
"""Image, template, media."""


def write_ijb(folder: Path, members: Sequence[tuple[str, int, int]], pairs: Sequence[Sequence[int]]) -> Path:
    """The lists of `ijbc`; every image has the landmarks of the ArcFace template, moved a little."""
    (folder / "meta").mkdir(parents=True)
    (folder / "loose_crop").mkdir()
    points = TEMPLATE.ravel() + np.random.default_rng(0).normal(0, 3, (len(members), 10))
    write(folder, "face_tid_mid", members)
    write(folder, "template_pair_label", pairs)
    rows = [(name, *(f"{x:.3f}" for x in row), 0.99) for (name, *_), row in zip(members, points, strict=True)]
    write(folder, "name_5pts_score", rows)
    return folder


def write(folder: Path, name: str, rows: Sequence[Sequence[object]]) -> None:
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    (folder / "meta" / f"ijbc_{name}.txt").write_text(text)


def write_people(folder: Path, patterns: Path) -> Path:
    """60 pictures of 24 templates, in medias of one or two; every two templates are compared."""
    members = [(f"{row:06d}.jpg", 100 + row % 24, row // 48) for row in range(60)]
    pairs = [
        (100 + first, 100 + second, int(first % 6 == second % 6))
        for first in range(24)
        for second in range(first)
    ]
    write_ijb(folder, members, pairs)
    for name, *_ in members:
        shutil.copy(patterns.parent / "patterns" / name, folder / "loose_crop" / name)
    return folder
