"""One rule for all that commands write: nothing is replaced unasked, and one run writes at a time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shlex
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated

from face_analysis.errors import InterruptedRunError, OutputError, UsageError, WriteError
from face_analysis.files import LONGEST_NAME, hidden_name, remove_stale
from face_analysis.options import Opt

Overwrite = Annotated[bool, Opt("replace results that are there; other files in the folder stay")]
Resume = Annotated[bool, Opt("go on where a stopped run with the same output was")]
LOCK = ".lock"


@contextmanager
def claim_folder(
    folder: Path,
    inputs: Iterable[Path | None] = (),
    *,
    overwrite: bool = False,
    resume: bool | None = None,
    pictures: bool = False,
) -> Iterator[None]:
    """Let this process alone write into `folder`, which is made if absent, while the block runs.

    `inputs` are files and folders that the command reads. `resume` is None for a command that cannot go on
    with an earlier run. With `pictures` the folder may not lie in a folder of inputs either, as the next run
    would read what this one wrote. Raises OutputError where the folder is or holds an input, where it is not
    empty without `overwrite` or `resume`, and where another run writes into it; WriteError where it cannot
    be made.
    """
    _refuse_both(overwrite, resume)
    _refuse_inputs(folder, inputs, pictures)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(folder, error) from error
    with _locked(folder / LOCK, folder):
        remove_stale(folder.rglob("*"))
        there = sorted(name for name in os.listdir(folder) if name != LOCK)  # noqa: PTH208
        if there and not overwrite and not resume:
            shown = ", ".join(there[:3]) + (", ..." if len(there) > 3 else "")
            raise OutputError(f"{folder} is not empty ({shown}): {_way_out(resume)}")
        with _interruptible(folder, resume):
            yield


@contextmanager
def claim_file(
    path: Path,
    inputs: Iterable[Path | None] = (),
    *,
    beside: Sequence[Path] = (),
    unfinished: Path | None = None,
    overwrite: bool = False,
    resume: bool | None = None,
) -> Iterator[None]:
    """Let this process alone write the file `path`, and those `beside` it, while the block runs.

    `unfinished` is where the command keeps what it can go on with. Raises OutputError where one of the files
    is an input, or is there already without `overwrite` or `resume`, and where another run writes them;
    WriteError where the folder cannot be made.
    """
    _refuse_both(overwrite, resume)
    outputs = (path, *beside)
    read = {given.resolve() for given in inputs if given is not None}
    for output in outputs:
        if output.resolve() in read:
            raise OutputError(f"{output} would take the place of an input: choose another output")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(path, error) from error
    with _locked(path.with_name(hidden_name(path.name, "lock")), path):
        for output in outputs:
            remove_stale(path.parent.iterdir(), output.name)
        if not overwrite and not resume:
            for output in outputs:
                if os.path.lexists(output):
                    raise OutputError(f"{output} exists already: {_way_out(resume)}")
            if unfinished is not None and unfinished.exists():
                raise OutputError(f"{path}: a stopped run was writing it: {_way_out(resume)}")
        with _interruptible(path, resume):
            yield


def own_names(names: Iterable[str], suffixes: Sequence[str], suffix: str) -> list[str]:
    """A file name of its own for each picture, as a relative path that cannot lead out of a folder.

    A name keeps its path. Where its suffix is none of `suffixes`, `suffix` is added. Of names that would be
    the same, later ones get ~2, ~3, ... before their suffix. Parts longer than 255 bytes are cut, and end in
    a hash of the whole.
    """
    taken: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    found = []
    for name in names:
        path = PurePosixPath(*(part for part in name.split("/") if part not in ("", ".", "..")))
        if path.suffix.lower() not in suffixes:
            path = path.with_name(path.name + suffix)
        path = PurePosixPath(*map(shortened, path.parts))
        while not taken.isdisjoint(path.parents):  # a folder of that name would be where a file is
            path = PurePosixPath("~") / path
        own, number = path, 1
        while own in taken or own in folders:
            number += 1
            own = path.with_name(shortened(f"{path.stem}~{number}{path.suffix}"))
        taken.add(own)
        folders.update(own.parents)
        found.append(str(own))
    return found


def shortened(name: str) -> str:
    """The name, cut to 255 bytes where it is longer: its suffix stays, and a hash tells it from others."""
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME:
        return name
    suffix = PurePosixPath(name).suffix
    end = f"~{hashlib.sha256(encoded).hexdigest()[:12]}{suffix}"
    kept = encoded[: LONGEST_NAME - len(os.fsencode(end))]
    return kept.decode("utf-8", "ignore") + end


def _refuse_inputs(folder: Path, inputs: Iterable[Path | None], pictures: bool) -> None:
    place = folder.resolve()
    for given in inputs:
        if given is None:
            continue
        read = given.resolve()
        if place == read:
            raise OutputError(f"{folder} is an input: choose another folder for the output")
        if place in read.parents:
            raise OutputError(f"{folder} holds the input {given}: choose another folder for the output")
        if pictures and read in place.parents and read.is_dir():
            raise OutputError(
                f"{folder} lies in the input {given}, and its pictures would be read as photos next time: "
                "choose another folder for the output"
            )


def _refuse_both(overwrite: bool, resume: bool | None) -> None:
    if overwrite and resume:
        raise UsageError("--overwrite starts anew and --resume goes on: give one of them")


def _way_out(resume: bool | None) -> str:
    if resume is None:
        return "choose another output, or give --overwrite"
    return "choose another output, or give --resume to go on with a stopped run, or --overwrite"


@contextmanager
def _interruptible(output: Path, resume: bool | None) -> Iterator[None]:
    """Say after Ctrl-C how a command that can go on does so."""
    try:
        yield
    except KeyboardInterrupt:
        if resume is None:
            raise
        message = f"{output}: interrupted; what is done is kept: give --resume to go on"
        raise InterruptedRunError(signal.SIGINT, message) from None


_held: set[Path] = set()
"""Locks of this process: those of POSIX keep other processes away, not other threads."""


@contextmanager
def _locked(path: Path, output: Path) -> Iterator[None]:
    """Hold the lock file. The lock ends with the process, however that ends; children do not inherit it."""
    key = path.absolute()
    if key in _held:
        raise OutputError(f"{output}: this program is writing it: choose another output")
    descriptor = _acquired(path, output)
    _held.add(key)
    try:
        yield
    finally:
        _held.discard(key)
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquired(path: Path, output: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise WriteError(output, error) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return descriptor  # this file system knows no locks
            who = os.pread(descriptor, 1000, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise OutputError(
                f"{output}: another run is writing it ({who or 'no more is known'}): wait until it ends, or "
                "choose another output"
            ) from error
        if _is_at(descriptor, path):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, os.fsencode(_who()), 0)
            return descriptor
        os.close(descriptor)  # its last holder has just removed it


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _who() -> str:
    command = shlex.join(sys.argv)[:300]
    since = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
    return f"process {os.getpid()} on {socket.gethostname()} since {since}: {command}"
