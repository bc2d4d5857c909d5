"""Finds the images that a published list names with the suffix of another format."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

from face_analysis.errors import UsageError
from face_analysis.images.formats import IMAGE_SUFFIXES


class StoredNames:
    """The files under `root` by their names without suffix; each folder is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[str, tuple[set[str], dict[str, list[str]]]] = {}

    def of(self, name: str) -> str:
        """`name` if there is such a file, or else the picture that differs by its suffix alone.

        Where there is none it is `name` again, which then is missing. Raises UsageError where there are two.
        """
        folder, _, file = name.rpartition("/")
        files, by_stem = self._folder(folder)
        others = by_stem.get(PurePosixPath(file).stem, [])
        if file in files or not others:
            return name
        if len(others) > 1:
            raise UsageError(f"{self.root / folder}: {' and '.join(others)} may both be {file}; keep one")
        return f"{folder}/{others[0]}" if folder else others[0]

    def _folder(self, folder: str) -> tuple[set[str], dict[str, list[str]]]:
        if folder not in self._folders:
            files: set[str] = set()
            with suppress(OSError):  # images of a folder that cannot be read are told as missing
                files = {entry.name for entry in os.scandir(self.root / folder)}
            by_stem: dict[str, list[str]] = {}
            for path in map(PurePosixPath, sorted(files)):
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    by_stem.setdefault(path.stem, []).append(path.name)
            self._folders[folder] = files, by_stem
        return self._folders[folder]
