"""The pictures under a folder, and what else is there: files left out, folders and links not followed."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from face_analysis.datasets.kinds import is_picture
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.errors import EmptyDataError, MissingFileError, UsageError

log = logging.getLogger(__name__)
HIDDEN = "hidden"
SPECIAL = "special"
SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "@recycle", "$recycle.bin", "recycler", "system volume information"}
    | {"lost+found", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini"}
)
"""Names, in lower case, of what systems and programs put beside pictures. They count as hidden."""
NAMED = 8
"""Suffixes, folders and links that are named; those beyond are counted."""


@dataclass
class Listing:
    """What was found under a folder.

    `images` are paths relative to it, sorted. `left_out` counts the files that are no pictures by their
    suffix in lower case, "" for none, by HIDDEN those that are hidden or of the system, and by SPECIAL what
    is no regular file, such as a pipe. `hidden` are folders that were not searched; `links` those that were
    not followed, and `unread` folders that could not be read, both with the reason. `folders` are those
    directly in `folder` that are not hidden.
    """

    folder: Path
    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    hidden: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """What is not among the images, a sentence a kind; none where all files are images."""
        found = []
        total = self.left_out.total()
        if total:
            counts = sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))
            parts = [f"{count} {suffix or 'without a suffix'}" for suffix, count in counts]
            found.append(f"{total} {'file' if total == 1 else 'files'} left out: {shown(parts)}")
        for what, names in (
            ("hidden and system folders not searched", self.hidden),
            ("links not followed", self.links),
            ("folders that cannot be read", self.unread),
        ):
            if names:
                found.append(f"{what}: {shown(sorted(names))}")
        return found


def search_folder(folder: Path) -> Listing:
    """Find the pictures in a folder and under it: by suffix, and where that is no picture's by content.

    Hidden and system files and folders below `folder` are passed over. Links are followed, after all real
    folders are searched. A folder is searched once however many links lead to it, and a link to a folder
    above `folder` is not followed, so no ring of links goes on. Raises MissingFileError, and UsageError for
    a file.
    """
    if not folder.exists():
        raise MissingFileError(folder, "folder of images")
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file: give a folder of images")
    search = _Search(folder)
    search.run()
    search.found.images.sort()
    return search.found


def list_folder(folder: Path) -> ImageList:
    """The pictures of a folder without labels; what is left out is logged.

    Raises as `search_folder`, and EmptyDataError for a folder without pictures.
    """
    return ImageList(folder, search_and_tell(folder).images)


def search_and_tell(folder: Path) -> Listing:
    """As `search_folder`, logging what is left out. Raises EmptyDataError for a folder without pictures."""
    found = search_folder(folder)
    if not found.images:
        reasons = "; ".join(["no images in this folder or under it", *found.sentences()])
        raise EmptyDataError(f"{folder}: {reasons}; choose another")
    for sentence in found.sentences():
        log.warning("%s: %s", folder, sentence)
    return found


class _Search:
    """Folders wait by their path relative to the root, "" for the root itself."""

    def __init__(self, folder: Path) -> None:
        self.found = Listing(folder)
        self.root = os.fspath(folder)
        self.real = [""]
        self.linked: deque[str] = deque()
        self.searched = dict.fromkeys(map(_identity, folder.resolve().parents), "a folder above")

    def run(self) -> None:
        while self.real or self.linked:
            name = self.real.pop() if self.real else self.linked.popleft()
            try:
                self._search(name)
            except OSError as error:
                self.found.unread.append(f"{name or '.'} ({error.strerror})")

    def _search(self, name: str) -> None:
        path = f"{self.root}/{name}"
        identity = _identity(path)
        if identity in self.searched:
            self.found.links.append(f"{name} ({self.searched[identity]})")
            return
        self.searched[identity] = f"searched already as {name or '.'}"
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                self._sort_in(entry, f"{name}/{entry.name}" if name else entry.name)

    def _sort_in(self, entry: os.DirEntry[str], name: str) -> None:
        there = not entry.is_symlink() or os.path.exists(entry.path)  # noqa: PTH110  # False where it may not look
        if _hidden(entry.name):
            if there and entry.is_dir():
                self.found.hidden.append(name)
            else:
                self.found.left_out[HIDDEN] += 1
        elif not there:
            self.found.links.append(f"{name} (leads nowhere)")
        elif entry.is_dir():
            (self.linked if entry.is_symlink() else self.real).append(name)
            if "/" not in name:
                self.found.folders.append(name)
        elif not entry.is_file():
            self.found.left_out[SPECIAL] += 1
        elif is_picture(entry.path):
            self.found.images.append(name)
        else:
            self.found.left_out[Path(name).suffix.lower()] += 1


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  # a set of people has a folder for each of a million
    return status.st_dev, status.st_ino


def shown(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
