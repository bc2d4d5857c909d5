"""The published lists of pairs: LFW and what follows its form, CFP, and lists with a label a line."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from face_analysis.datasets.lists.text_files import read_lines
from face_analysis.datasets.pairs.pairs import ListedPair, folds
from face_analysis.errors import ListFormatError, MissingFileError, UsageError
from face_analysis.images.formats import IMAGE_SUFFIXES

Protocol = Literal["lfw", "cfp_ff", "cfp_fp", "list"]
WHAT = "list of pairs"
_NUMBER = re.compile(r"[0-9]{1,6}\Z", re.ASCII)


def read_protocol(protocol: Protocol, source: Path, pairs: Path | None) -> list[ListedPair]:
    """The pairs of a protocol whose images lie under `source`, by paths relative to it.

    `pairs` is the list, of LFW's form or with a label a line (default: `pairs.txt` in the source); CFP has
    its own in `Protocol/`. An image that the source has in another format, with another suffix, is found.
    Raises MissingFileError, EmptyDataError, ListFormatError with the line, and UsageError where an image is
    there in two formats.
    """
    if protocol in ("cfp_ff", "cfp_fp"):
        listed = read_cfp(source, "FF" if protocol == "cfp_ff" else "FP")
    elif protocol == "lfw":
        listed = read_lfw(pairs or source / "pairs.txt")
    else:
        listed = read_labelled(pairs or source / "pairs.txt")
    names = StoredNames(source)
    return [pair._replace(first=names.of(pair.first), second=names.of(pair.second)) for pair in listed]


def read_lfw(path: Path) -> list[ListedPair]:
    """LFW's `pairs.txt` (Huang et al. 2007), the form of AgeDB-30, CALFW and CPLFW lists as well.

    A first line `folds pairs`, or `pairs` alone for one fold; then for each fold as many lines `name n1 n2`
    of one person and as many `name1 n1 name2 n2` of two. Image n of a name is `name/name_000n.jpg`, as LFW
    is published.
    """
    lines = read_lines(path, WHAT)
    number, first = lines[0]
    head = first.split()
    if len(head) not in (1, 2) or not all(map(_NUMBER.match, head)) or int(head[-1]) < 1:
        raise ListFormatError(path, number, "expected the number of folds, and of pairs in each")
    each = int(head[-1])
    count = int(head[0]) if len(head) == 2 else 1
    if len(lines) - 1 != 2 * each * count:
        reason = f"expected {count} x 2 x {each} lines behind the first, found {len(lines) - 1}"
        raise ListFormatError(path, lines[-1][0], f"{reason}; get the list again")
    return [_lfw_pair(path, number, line, row, each) for row, (number, line) in enumerate(lines[1:])]


def _lfw_pair(path: Path, number: int, line: str, row: int, each: int) -> ListedPair:
    fold, place = divmod(row, 2 * each)
    same = place < each
    cells = line.split()
    names, numbers = (cells[:1] * 2, cells[1:]) if same else (cells[0::2], cells[1::2])
    if len(cells) != (3 if same else 4) or not all(map(_NUMBER.match, numbers)):
        form = "name n1 n2" if same else "name1 n1 name2 n2"
        raise ListFormatError(path, number, f"expected `{form}`, found `{line[:80]}`")
    first, second = (
        f"{name}/{name}_{int(image):04d}.jpg" for name, image in zip(names, numbers, strict=True)
    )
    return ListedPair(first, second, same, fold)


def read_labelled(path: Path) -> list[ListedPair]:
    """Lines `image label`, two a pair: the form in which CALFW and CPLFW are published.

    A label of 0 means two people, any other one. These lists may have all pairs of one person before the
    others, so each kind is cut into ten folds by itself.
    """
    lines = read_lines(path, WHAT)
    if len(lines) % 2:
        raise ListFormatError(
            path, lines[-1][0], "the last image has no other to make a pair; get the list again"
        )
    images: list[str] = []
    same: list[bool] = []
    for number, line in lines:
        cells = line.rsplit(None, 1)
        if len(cells) != 2 or not _NUMBER.match(cells[1]):
            raise ListFormatError(path, number, f"expected `image label`, found `{line[:80]}`")
        images.append(cells[0].strip())
        same.append(int(cells[1]) != 0)
        if len(same) % 2 == 0 and same[-1] != same[-2]:
            raise ListFormatError(path, number, "the label differs from that of the pair's other image")
    truths = np.array(same[1::2])
    fold = np.empty(len(truths), np.int64)
    for kind in (True, False):
        fold[truths == kind] = folds(int((truths == kind).sum()))
    return [
        ListedPair(*pair) for pair in zip(images[0::2], images[1::2], same[1::2], fold.tolist(), strict=True)
    ]


def read_cfp(source: Path, kind: Literal["FF", "FP"]) -> list[ListedPair]:
    """CFP (Sengupta et al. 2016), frontal with frontal or with profile; `source` holds `Protocol/`.

    `Split/FF/01` and on hold `same.txt` and `diff.txt` with lines `a,b`: a is a number of `Pair_list_F.txt`,
    and so is b in FF; in FP it is one of `Pair_list_P.txt`. Those lists have lines `number path`.
    """
    protocol = source / "Protocol"
    frontal = _cfp_images(protocol / "Pair_list_F.txt")
    other = frontal if kind == "FF" else _cfp_images(protocol / "Pair_list_P.txt")
    parts = sorted(path.parent for path in (protocol / "Split" / kind).glob("*/same.txt"))
    if not parts:
        raise MissingFileError(protocol / "Split" / kind, "folds of CFP (01/same.txt and so on)")
    return [
        ListedPair(first, second, name == "same.txt", fold)
        for fold, part in enumerate(parts)
        for name in ("same.txt", "diff.txt")
        for first, second in _cfp_pairs(part / name, frontal, other)
    ]


def _cfp_images(path: Path) -> dict[int, str]:
    """Paths by their number; they are written relative to `Protocol/`."""
    images = {}
    for number, line in read_lines(path, WHAT):
        cells = line.split(None, 1)
        if len(cells) != 2 or not _NUMBER.match(cells[0]):
            raise ListFormatError(path, number, f"expected `number path`, found `{line[:80]}`")
        images[int(cells[0])] = posixpath.normpath(posixpath.join("Protocol", cells[1].strip()))
    return images


def _cfp_pairs(path: Path, frontal: dict[int, str], other: dict[int, str]) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(path, WHAT):
        cells = [cell.strip() for cell in line.split(",")]
        numbers = [int(cell) for cell in cells if _NUMBER.match(cell)]
        if len(cells) != 2 or len(numbers) != 2 or numbers[0] not in frontal or numbers[1] not in other:
            reason = f"expected `a,b`, two numbers of the lists of images, found `{line[:80]}`"
            raise ListFormatError(path, number, reason)
        yield frontal[numbers[0]], other[numbers[1]]


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
            with suppress(OSError):  # images of a folder that cannot be read count as missing
                files = {entry.name for entry in os.scandir(self.root / folder)}
            by_stem: dict[str, list[str]] = {}
            for path in map(PurePosixPath, sorted(files)):
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    by_stem.setdefault(path.stem, []).append(path.name)
            self._folders[folder] = files, by_stem
        return self._folders[folder]
