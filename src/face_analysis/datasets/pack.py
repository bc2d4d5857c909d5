"""Packs the images of a source into one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute, known
from face_analysis.datasets.encoding import Encoding, read_mask_of
from face_analysis.datasets.lmdb.format import column_of
from face_analysis.datasets.lmdb.writer import LmdbWriter
from face_analysis.datasets.sources import ImageSource, names_sha256
from face_analysis.errors import (
    DeadProcessError,
    EmptyDataError,
    MissingFileError,
    UnreadableImageError,
    UsageError,
)
from face_analysis.images.decode import check, decode
from face_analysis.images.face_masks import decode_mask
from face_analysis.parallel import in_order_by_processes
from face_analysis.types import ImageFailure
from face_analysis.zoo.card import RECOGNITION

CHUNK = 32
"""Images a thread takes at once: handing over each alone would cost as much as reading it."""


@dataclass(frozen=True)
class PackSettings:
    """`encoding` None copies the encoded images as they are. With `strict` the first image that cannot be
    used ends the work and nothing is written; `resume` takes up a run that was killed. `masks` is a folder of
    face masks, by which images are blurred outside the face; with `keep_masks` they stay as they are, and the
    masks are stored with them."""

    encoding: Encoding | None = None
    strict: bool = False
    resume: bool = False
    workers: int = 2
    masks: Path | None = None
    keep_masks: bool = False

    @property
    def blurs(self) -> bool:
        """Whether images are blurred outside the face."""
        return self.masks is not None and not self.keep_masks


@dataclass(frozen=True)
class PackReport:
    """What became of the rows: `written`, `left_out` without a known label, `failures` that do not decode."""

    written: int
    left_out: int
    failures: list[ImageFailure] = field(default_factory=list)


class Read(NamedTuple):
    """An encoded image and mask ready to be written, or why it cannot be."""

    image: bytes
    mask: bytes | None = None
    reason: str = ""


def pack(
    source: ImageSource, destination: Path, attribute: str, settings: PackSettings | None = None
) -> PackReport:
    """Write the rows of a source where `attribute` (race, gender, age, recognition) is known to an LMDB.

    All label columns are kept; images have been seen to decode. Raises UsageError for another attribute or a
    run resumed with others, MissingFileError for a folder of masks that is not there, EmptyDataError when no
    row or no image is left, UnreadableImageError where `strict`, OutputError, WriteError, and
    DeadProcessError where a worker was killed, after which `resume` goes on. The destination then stays as it
    was.
    """
    settings = settings or PackSettings()
    if settings.masks is not None and not settings.masks.is_dir():
        raise MissingFileError(settings.masks, "folder of masks")
    labels = source.labels
    rows = _rows(source, attribute)
    facts = _facts(source, settings)
    with LmdbWriter(destination, attribute, list(labels), facts, resume=settings.resume) as writer:

        def labels_of(row: int) -> dict[str, int]:
            return {column: int(values[row]) for column, values in labels.items()}

        for place, row in enumerate(rows[: writer.done].tolist()):
            if place not in writer.failed:
                writer.recall(source.name(row), labels_of(row))
        left = rows[writer.done :].tolist()
        read = _read_ahead(source, left, settings, destination)
        bar = tqdm(left, desc=f"pack {destination.name}", unit="image", total=len(rows), initial=writer.done)
        for row, one in zip(bar, read, strict=True):
            if not one.reason:
                writer.add(source.name(row), one.image, labels_of(row), one.mask)
            elif settings.strict:
                raise UnreadableImageError(f"{one.reason}; nothing was packed: --strict refuses such images")
            else:
                writer.fail(one.reason)
        failures = [
            ImageFailure(source.name(int(rows[place])), why) for place, why in sorted(writer.failed.items())
        ]
    return PackReport(len(rows) - len(failures), len(source) - len(rows), failures)


def _read_ahead(
    source: ImageSource, rows: list[int], settings: PackSettings, destination: Path
) -> Iterator[Read]:
    chunks = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
    read, ahead = partial(_read_chunk, source, settings=settings), 2 * max(1, settings.workers)
    try:
        for chunk in in_order_by_processes(read, chunks, settings.workers, ahead):
            yield from chunk
    except BrokenProcessPool as error:
        raise DeadProcessError(
            f"{destination}: a process that reads images was killed; memory may have run out. What is done "
            "is kept: go on with --resume, and with fewer --workers"
        ) from error


def _read_chunk(source: ImageSource, rows: list[int], settings: PackSettings) -> list[Read]:
    return [_read(source, row, settings) for row in rows]


def _read(source: ImageSource, row: int, settings: PackSettings) -> Read:
    name, masks, encoding = source.name(row), settings.masks, settings.encoding
    try:
        image = source.read(row)
        mask = source.read_mask(row) if masks is None else read_mask_of(name, masks)
        if settings.blurs:
            return Read((encoding or Encoding()).encode(image, name, mask))
        if encoding is not None:
            if mask is not None:
                raise UsageError(f"{name} has a mask, which fits the image as it is alone: do not re-encode")
            return Read(encoding.encode(image, name))
        if mask is None:
            check(image, name)
        else:
            decode_mask(mask, f"mask of {name}", decode(image, name).shape)
        return Read(image, mask)
    except UnreadableImageError as error:
        return Read(b"", reason=str(error))


def _facts(source: ImageSource, settings: PackSettings) -> dict[str, Any]:
    """What the packed file depends on beside its attribute, by the names that a message has for it."""
    facts: dict[str, Any] = {"images": names_sha256(source)}
    facts["labels"] = {
        column: hashlib.sha256(values.tobytes()).hexdigest() for column, values in source.labels.items()
    }
    if settings.masks is not None:
        facts |= {"mask_source": str(settings.masks), "keep_masks": settings.keep_masks}
    return facts | (settings.encoding.facts() if settings.encoding is not None else {})


def _rows(source: ImageSource, attribute: str) -> NDArray[np.intp]:
    if attribute != RECOGNITION and attribute not in ATTRIBUTES:
        choices = ", ".join((*ATTRIBUTES, RECOGNITION))
        raise UsageError(f"cannot pack for `{attribute}`; choose one of {choices}")
    column = source.labels.get(column_of(attribute))
    if column is None:
        there = ", ".join(source.labels) or "none"
        raise EmptyDataError(
            f"{source.origin}: no column for {attribute} (label columns: {there}); give a --list that has it"
        )
    usable = column >= 0 if attribute == RECOGNITION else known(cast(Attribute, attribute), column)
    if not usable.any():
        raise EmptyDataError(
            f"{source.origin}: no row has a known {attribute}; check the labels and their ranges"
        )
    return np.flatnonzero(usable)
