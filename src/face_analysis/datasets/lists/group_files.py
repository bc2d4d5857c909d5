"""Reads which images belong together, as `audit` writes it for copies."""

from __future__ import annotations

from pathlib import Path

from face_analysis.datasets.lists.text_files import read_table
from face_analysis.errors import ListFormatError


def read_groups(path: Path) -> dict[str, str]:
    """From image path to group, of a CSV with a header and the columns `path` and `group` among others.

    Raises MissingFileError, EmptyDataError, and ListFormatError with the line; it is also wrong for an image
    to be in two groups.
    """
    groups: dict[str, str] = {}
    for line, (image, group) in read_table(path, "list of groups", ("path", "group")):
        if not image or not group:
            raise ListFormatError(path, line, "path or group is missing; fill it in")
        if groups.setdefault(image, group) != group:
            raise ListFormatError(path, line, f"{image} is in two groups; make them one")
    return groups
