"""Reads which images belong together, as `audit` writes it for copies."""

from __future__ import annotations

import csv
from pathlib import Path

from face_analysis.datasets.lists.image_list import read_lines
from face_analysis.errors import ListFormatError


def read_groups(path: Path) -> dict[str, str]:
    """From image path to group, of a CSV with a header and the columns `path` and `group` among others.

    Raises MissingFileError, EmptyDataError, and ListFormatError with the line; it is also wrong for an image
    to be in two groups.
    """
    reader = csv.DictReader((line + "\n" for line in read_lines(path, "list of groups")), strict=True)
    groups: dict[str, str] = {}
    try:
        if not {"path", "group"} <= set(reader.fieldnames or ()):
            raise ListFormatError(path, 1, "expected the columns `path` and `group`; add them")
        for row in reader:
            image, group = row["path"], row["group"]
            if not image or not group:
                raise ListFormatError(path, reader.line_num, "path or group is missing; fill it in")
            if groups.setdefault(image, group) != group:
                raise ListFormatError(path, reader.line_num, f"{image} is in two groups; make them one")
    except csv.Error as error:
        raise ListFormatError(
            path, reader.reader.line_num, f"broken CSV ({error}); correct the quotes"
        ) from error
    return groups
