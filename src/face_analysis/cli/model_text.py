"""What `models list`, `models show` and `models verify` print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_analysis.errors import DamagedModelError, ModelMismatchError, ModelNotFoundError
from face_analysis.zoo.catalogue import ABSENT, CATALOGUE, Entry, recognise
from face_analysis.zoo.find import cached, fetchable, find, possible_paths, stored


def table(entries: Iterable[Entry]) -> str:
    """Aligned columns, a line an entry: name, where its file is, MB, licence, use."""
    rows = [("name", "where", "MB", "licence", "use"), *map(_row, entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _row(entry: Entry) -> tuple[str, ...]:
    try:
        path = stored(entry)
    except DamagedModelError:
        return entry.name, "damaged: see verify", "-", entry.licence, entry.use
    except ModelNotFoundError:
        return entry.name, _absence(entry), "-", entry.licence, entry.use
    package = entry.carrier[0] if entry.carrier else ""
    where = "cache" if path == cached(entry) else f"package {package}"
    return entry.name, where, f"{path.stat().st_size / 1e6:.1f}", entry.licence, entry.use


def _absence(entry: Entry) -> str:
    return "not here: would be fetched" if fetchable(entry) else "missing"


def about(what: str) -> str:
    """A line a field of the catalogue, for a model that it has, and the card of a safetensors file.

    Nothing is fetched. Raises UnknownModelError, DamagedModelError, and ModelMismatchError for a file that
    neither the catalogue knows nor a card describes.
    """
    entry, path = _entry_and_file(what)
    parts = []
    if entry:
        parts.append(_fields(entry, path))
    if path and (entry is None or path.suffix == ".safetensors"):
        from face_analysis.models.weights import load_model

        parts.append(load_model(path).card.to_json())
    return "\n".join(parts)


def _entry_and_file(what: str) -> tuple[Entry | None, Path | None]:
    entry = CATALOGUE.get(what)
    if entry is None:
        path = find(what)
        return recognise(path), path
    try:
        return entry, stored(entry)
    except ModelNotFoundError:
        return entry, None


def _fields(entry: Entry, path: Path | None) -> str:
    return "\n".join(
        (
            f"name     {entry.name}",
            f"file     {entry.file}",
            f"use      {entry.use}",
            f"origin   {entry.origin}",
            f"licence  {entry.licence}",
            f"sha256   {entry.sha256}",
            f"address  {entry.address or 'none'}",
            f"path     {path or _absence(entry)}",
        )
    )


@dataclass(frozen=True)
class Check:
    """What became of one file; `unknown` is one that there is nothing to compare with."""

    word: Literal["ok", "damaged", "unknown", "not here"]
    detail: str

    @property
    def status(self) -> int:
        """Its part in the exit status."""
        return 1 if self.word in ("damaged", "unknown") else 0


def checks(what: str) -> list[Check]:
    """A check of each file that a name of the catalogue has on this machine, or of the one file named.

    Raises UnknownModelError.
    """
    entry = CATALOGUE.get(what)
    if entry is None:
        return [_check_file(find(what))]
    here = [(path, fault) for path in possible_paths(entry) if (fault := entry.fault(path)) != ABSENT]
    return [Check("damaged", f"{path}: {fault}") if fault else _check_card(path) for path, fault in here] or [
        Check("not here", entry.name)
    ]


def _check_file(path: Path) -> Check:
    if recognise(path) or path.suffix == ".safetensors":
        return _check_card(path)
    return Check("unknown", f"{path}: not in the catalogue, by its SHA-256, and no .safetensors file")


def _check_card(path: Path) -> Check:
    if path.suffix != ".safetensors":
        return Check("ok", str(path))
    from face_analysis.models.weights import load_model

    try:
        load_model(path)
    except ModelMismatchError as error:
        return Check("damaged", str(error))
    return Check("ok", str(path))
