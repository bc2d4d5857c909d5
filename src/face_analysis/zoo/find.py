"""Finding a model's file: a path as given, else by name in the cache, its carrier package, its address."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from face_analysis.errors import (
    DamagedModelError,
    DownloadError,
    ModelNotFoundError,
    UnknownModelError,
    UsageError,
)
from face_analysis.files import whole_file
from face_analysis.zoo.catalogue import CATALOGUE, DIFFERS, Entry, file_sha256, recognise
from face_analysis.zoo.download import TIMEOUT, fetch

CACHE = "FACE_ANALYSIS_CACHE"
OFFLINE = "FACE_ANALYSIS_OFFLINE"


def find(what: str | Path) -> Path:
    """The file of a model, by its name in the catalogue or by its path, which is returned as it is.

    A model by name has the SHA-256 of the catalogue, wherever it is found; it is fetched if it must be and
    may be. Raises UnknownModelError, and what `find_entry` raises.
    """
    entry = CATALOGUE.get(str(what))
    if entry is not None:
        return find_entry(entry)
    if Path(what).is_dir():
        names = ", ".join(CATALOGUE)
        raise UnknownModelError(f"`{what}` is a folder: give the file of a model, or one of {names}")
    if not Path(what).is_file():
        raise UnknownModelError(f"no file and no model `{what}`; the models are {', '.join(CATALOGUE)}")
    return Path(what)


def weights_facts(models: Mapping[str, str | Path | None]) -> dict[str, str]:
    """The SHA-256 of each model's file, by the option that names the model; none for an option that is None.

    What was made with a model depends on the content of its file, not on where the file lies. Raises as
    `find`.
    """
    return {option: file_sha256(find(model)) for option, model in models.items() if model is not None}


def find_entry(entry: Entry, timeout: float = TIMEOUT) -> Path:
    """The file of the entry as `stored` finds it, else fetched into the cache.

    `timeout` is in seconds, for each wait on the server. No connection is opened when FACE_ANALYSIS_OFFLINE
    is set to anything but 0. Raises DamagedModelError, ModelNotFoundError, DownloadError, and WriteError when
    the cache cannot be written.
    """
    try:
        return stored(entry)
    except ModelNotFoundError as error:
        tried = error.tried
    if not entry.address:
        raise ModelNotFoundError(entry.name, [*tried, "it has no address"])
    if not fetchable(entry):
        raise ModelNotFoundError(entry.name, [*tried, f"{entry.address} (not asked: {OFFLINE} is set)"])
    try:
        return fetch(entry, cached(entry), timeout)
    except DownloadError as error:
        raise DownloadError(entry.name, [*tried, *error.tried]) from error


def stored(entry: Entry) -> Path:
    """The file of the entry on this machine: in the cache, else in the package that carries it.

    A wrong file in the package, which may be of another version, is passed over. Raises DamagedModelError for
    a wrong file in the cache, and ModelNotFoundError.
    """
    tried = []
    for path in places(entry):
        fault = entry.fault(path)
        if not fault:
            return path
        if fault == DIFFERS and path == cached(entry):
            raise DamagedModelError(f"{path} is {fault}. Delete it, and the model is looked for elsewhere")
        tried.append(f"{path} ({fault})")
    if entry.carrier and find_spec(entry.carrier[0]) is None:
        tried.append(f"package {entry.carrier[0]} (not installed)")
    raise ModelNotFoundError(entry.name, tried)


def fetchable(entry: Entry) -> bool:
    """Whether the entry has an address and connections are allowed."""
    return bool(entry.address) and os.environ.get(OFFLINE, "") in ("", "0")


def places(entry: Entry) -> list[Path]:
    """Where the file may lie on this machine, in the order of looking; the first is the cache."""
    found = [cached(entry)]
    if entry.carrier:
        package, inside = entry.carrier
        spec = find_spec(package)  # tells where the package is without running it
        found += [Path(folder) / inside for folder in (spec and spec.submodule_search_locations) or ()]
    return found


def cached(entry: Entry) -> Path:
    """Where the cache keeps, or would keep, the file of the entry."""
    return cache_folder() / entry.file


def cache_folder() -> Path:
    """$FACE_ANALYSIS_CACHE, else $XDG_CACHE_HOME/face-analysis, else ~/.cache/face-analysis.

    It need not exist. Raises UsageError when there is no home folder.
    """
    try:
        if own := os.environ.get(CACHE):
            return Path(own).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "face-analysis"
    except RuntimeError as error:
        raise UsageError(f"no home folder to keep models in ({error}): set {CACHE} to a folder") from error


def take_in(path: Path) -> Path:
    """Copy a file of a model of the catalogue, whatever its name, into the cache; returns its place there.

    Raises MissingFileError, UnknownModelError for any other file, and WriteError.
    """
    entry = recognise(path)
    if entry is None:
        known = ", ".join(f"{entry.name} {entry.sha256}" for entry in CATALOGUE.values())
        raise UnknownModelError(
            f"{path} is no model of the catalogue, by its SHA-256; these are known: {known}"
        )
    with whole_file(cached(entry)) as partial:
        shutil.copyfile(path, partial)
    return cached(entry)
