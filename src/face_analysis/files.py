"""Files that appear whole or not at all, and the record of images that could not be used."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import math
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, TextIO

from face_analysis.errors import WriteError
from face_analysis.types import ImageFailure

LONGEST_NAME = 255
"""Bytes of a file name that common file systems take."""
_PARTIAL = re.compile(r"\.([0-9a-f]{12})-[0-9a-f]{8}\.partial")
FIRST = 3
"""How many reasons a message tells."""


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a hidden file beside `path` to write to; when the block ends well, sync it and rename it.

    If the block fails the hidden file is removed and a file already at `path` stays as it was. The folder is
    made if absent. Raises WriteError for any OSError of the block.
    """
    path = Path(path)
    partial = path.with_name(f".{_key(path.name)}-{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(partial, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with suppress(OSError):  # where locks are not supported
                fcntl.flock(held, fcntl.LOCK_EX)  # tells that its writer lives
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            os.close(held)
    except OSError as error:
        raise WriteError(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def remove_stale(paths: Iterable[Path], name: str | None = None) -> None:
    """Remove, among these, the hidden files of `whole_file` whose writers were killed.

    With `name` those of this file alone. Files that are still written, links, and names of another form stay.
    """
    for path in paths:
        found = _PARTIAL.fullmatch(path.name)
        if not found or (name is not None and found[1] != _key(name)):
            continue
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def hidden_name(name: str, kind: str) -> str:
    """The name of a hidden file about another: `.<name>.<kind>`, or with a hash where that is too long."""
    hidden = f".{name}.{kind}"
    return hidden if len(os.fsencode(hidden)) <= LONGEST_NAME else f".{_key(name)}.{kind}"


def open_hidden(path: Path, mode: Literal["r+b", "ab", "wb"]) -> BinaryIO:
    """Open a hidden file whose name others can know, and never one that a link points to. Raises OSError."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)

    return open(path, mode, opener=opener)  # pathlib has no opener


def _key(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:12]


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text as a whole file; bytes of file names that are no UTF-8 stay. Raises WriteError."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_csv(path: Path | str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and rows as a whole CSV file. Raises WriteError.

    None, and a float that is not finite, become an empty cell.
    """
    with (
        whole_file(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(_LineFeeds(file))
        writer.writerow(header)
        writer.writerows([None if _not_finite(cell) else cell for cell in row] for row in rows)


class _LineFeeds:
    """A file for csv.writer whose lines end in LF.

    A writer that ends lines so itself leaves a carriage return in a cell without quotes before Python 3.13.
    """

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, line: str) -> None:
        """Write a line that ends in CR LF."""
        self.file.write(line[:-2] + "\n")


def _not_finite(cell: object) -> bool:
    return isinstance(cell, float) and not math.isfinite(cell)


def first_reasons(reasons: Iterable[str]) -> str:
    """The first of the different reasons, each after a line break and indented."""
    return "".join(f"\n  {reason}" for reason in islice(dict.fromkeys(reasons), FIRST))


def print_unused(count: int, failures: Iterable[tuple[str, str]], errors: Path) -> None:
    """Say on stderr how many images could not be used, the first (path, reason), and where all are."""
    first = first_reasons(f"{path}: {reason.removeprefix(f'{path}: ')}" for path, reason in failures)
    print(f"{count} images could not be used: see {errors}{first}", file=sys.stderr)


class Failures(Protocol):
    """Takes in images that could not be used."""

    def add(self, failures: Iterable[ImageFailure]) -> None:
        """Take in failures."""
        ...


class FailureList:
    """Keeps them in memory, in `found`."""

    def __init__(self) -> None:
        self.found: list[ImageFailure] = []

    def add(self, failures: Iterable[ImageFailure]) -> None:
        """Append failures."""
        self.found.extend(failures)


class FailureLog:
    """`errors.csv`: a row (path, reason) for each image that could not be used, each image once.

    With `keep` the rows of an earlier run stay; otherwise its file is removed.
    """

    def __init__(self, path: Path, *, keep: bool = False) -> None:
        self.path = path
        self.seen: set[str] = set()
        self.first: list[tuple[str, str]] = []
        if keep and path.exists():
            with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
                self._note({row["path"]: row["reason"] for row in csv.DictReader(file)})
        else:
            path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self.seen)

    def add(self, failures: Iterable[ImageFailure]) -> None:
        """Append the failures not seen before. Raises WriteError."""
        new = {failure.path: failure.reason for failure in failures if failure.path not in self.seen}
        if not new:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
                writer = csv.writer(file)
                if file.tell() == 0:
                    writer.writerow(["path", "reason"])
                writer.writerows(new.items())
        except OSError as error:
            raise WriteError(self.path, error) from error
        self._note(new)

    def _note(self, failures: dict[str, str]) -> None:
        self.seen.update(failures)
        self.first += islice(failures.items(), FIRST - len(self.first))

    def report(self) -> int:
        """Say how many there were, and the first reasons; the exit status: 1 if any, else 0."""
        if self.seen:
            print_unused(len(self), self.first, self.path)
        return 1 if self.seen else 0
