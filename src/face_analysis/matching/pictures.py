"""Which rows of feature sets show one picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from posixpath import splitext

from face_analysis.matching.features.feature_set import FeatureSet


def pictures_of(sides: Sequence[FeatureSet]) -> list[list[str]]:
    """A name for the picture of each row of each set: rows with one name show one picture.

    A picture is its path in its source. Where every set says its source, paths are made absolute, so that the
    same path in two sources is two pictures, and one file under two ways to write its path is one. Where a
    set does not say, paths are compared as they are written.
    """
    absolute = all(features.source is not None for features in sides)
    return [_names(features.paths, features.source if absolute else None) for features in sides]


def original_label(path: str) -> str:
    """`parent/stem`, by which the original system knows a picture: equal labels are never compared."""
    folder, _, name = path.rpartition("/")
    parent = folder.rstrip("/").rpartition("/")[2]
    stem = splitext(name)[0]
    return f"{parent}/{stem}" if parent else stem


def _names(paths: Sequence[str], source: str | None) -> list[str]:
    if source is None:
        return [os.path.normpath(path) for path in paths]
    real = _real_folder()
    names = (os.path.join(source, path) for path in paths)  # noqa: PTH118
    return [
        real(path) if os.path.isabs(given) else os.path.normpath(path)  # noqa: PTH117
        for given, path in zip(paths, names, strict=True)
    ]


def _real_folder() -> Callable[[str], str]:
    """Links in the folders of an absolute path are followed, as in the path of a source."""
    real = lru_cache(maxsize=None)(os.path.realpath)

    def name(path: str) -> str:
        folder, _, file = path.rpartition("/")
        return f"{real(folder or '/')}/{file}"

    return name
