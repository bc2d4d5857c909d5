"""Packs the images of a source into one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from tqdm import tqdm

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute, known
from face_analysis.datasets.lmdb.format import column_of
from face_analysis.datasets.lmdb.writer import LmdbWriter
from face_analysis.datasets.sources import ImageSource, names_sha256
from face_analysis.errors import EmptyDataError, UnreadableImageError, UsageError
from face_analysis.images.chips import NO_FACE, FaceCutter
from face_analysis.images.decode import check, decode
from face_analysis.parallel import in_order_by_processes
from face_analysis.types import ImageFailure
from face_analysis.zoo.card import RECOGNITION

CHUNK = 32
"""Images a thread takes at once: handing over each alone would cost as much as reading it."""


@dataclass(frozen=True)
class Encoding:
    """How images are written anew: the chip that `cutter` makes of each, as JPEG of `quality`, 1 to 100.

    An image in which the cutter finds no face is left out, and listed.
    """

    cutter: FaceCutter
    quality: int = 95


@dataclass(frozen=True)
class PackSettings:
    """`encoding` None copies the encoded images as they are. With `strict` the first image that cannot be
    used ends the work and nothing is written; `resume` takes up a run that was killed."""

    encoding: Encoding | None = None
    strict: bool = False
    resume: bool = False
    workers: int = 2


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
    run resumed with others, EmptyDataError when no row or no image is left, UnreadableImageError where
    `strict`, and WriteError; the destination then stays as it was.
    """
    settings = settings or PackSettings()
    labels = source.labels
    rows = _rows(source, attribute)
    identity = _identity(source, attribute, settings)
    with LmdbWriter(destination, attribute, list(labels), identity, resume=settings.resume) as writer:

        def labels_of(row: int) -> dict[str, int]:
            return {column: int(values[row]) for column, values in labels.items()}

        for place, row in enumerate(rows[: writer.done].tolist()):
            if place not in writer.failed:
                writer.recall(source.name(row), labels_of(row))
        left = rows[writer.done :].tolist()
        read = _read_ahead(source, left, settings)
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


def _read_ahead(source: ImageSource, rows: list[int], settings: PackSettings) -> Iterator[Read]:
    chunks = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
    read = partial(_read_chunk, source, encoding=settings.encoding)
    for chunk in in_order_by_processes(read, chunks, settings.workers, ahead=2 * max(1, settings.workers)):
        yield from chunk


def _read_chunk(source: ImageSource, rows: list[int], encoding: Encoding | None) -> list[Read]:
    return [_read(source, row, encoding) for row in rows]


def _read(source: ImageSource, row: int, encoding: Encoding | None) -> Read:
    name = source.name(row)
    try:
        image, mask = source.read(row), source.read_mask(row)
        if encoding is not None:
            if mask is not None:
                raise UsageError(f"{name} has a mask, which fits the image as it is alone: do not re-encode")
            return _encoded(image, name, encoding)
        check(image, name)
        if mask is not None:
            check(mask, f"mask of {name}")
        return Read(image, mask)
    except UnreadableImageError as error:
        return Read(b"", reason=str(error))


def _encoded(image: bytes, name: str, encoding: Encoding) -> Read:
    chips = encoding.cutter.cut(decode(image, name), name)
    if not chips:
        return Read(b"", reason=f"{name}: {NO_FACE}")
    return Read(simplejpeg.encode_jpeg(np.ascontiguousarray(chips[0].pixels), encoding.quality))


def _identity(source: ImageSource, attribute: str, settings: PackSettings) -> str:
    """What the packed file depends on, as a hash."""
    digest = hashlib.sha256(names_sha256(source).encode())
    digest.update(repr((attribute, _described(settings.encoding))).encode())
    for column, values in source.labels.items():
        digest.update(column.encode() + values.tobytes())
    return digest.hexdigest()


def _described(encoding: Encoding | None) -> tuple[object, ...]:
    if encoding is None:
        return ()
    cutter = encoding.cutter
    return (cutter.detector is not None, cutter.which, cutter.whole, cutter.size, encoding.quality)


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
