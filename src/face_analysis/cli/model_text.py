"""What `models list` and `models show` print."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from face_analysis.errors import DamagedModelError, ModelNotFoundError
from face_analysis.zoo.catalogue import CATALOGUE, Entry, recognise
from face_analysis.zoo.find import cached, fetchable, find, stored


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
