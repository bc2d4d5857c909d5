"""Verification sets on disk: a folder with the aligned faces, and which of them make pairs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.npy_files import npy_header, open_bytes
from face_analysis.datasets.pairs.bins import BinSource
from face_analysis.datasets.pairs.pairs import Pairs
from face_analysis.errors import (
    EmptyDataError,
    ListFormatError,
    MissingFileError,
    PackedFileError,
    UnreadableImageError,
)
from face_analysis.files import whole_file
from face_analysis.images.align import CHIP_SIZE
from face_analysis.images.decode import decode, fit
from face_analysis.types import Image, ImageFailure

PIXELS, IMAGES, PAIRS = "images.npy", "images.csv", "pairs.csv"
IMAGE_COLUMNS = ("row", "path", "found")
PAIR_COLUMNS = ("first", "second", "same", "fold")
SHAPE = (CHIP_SIZE, CHIP_SIZE, 3)
_NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)


@dataclass(frozen=True)
class PairSet:
    """A verification set.

    `images` uint8 (N, 112, 112, 3), RGB, aligned faces, memory-mapped where they come from a folder; `names`
    and `found` bool (N,) say of each what it was called, and False where a photo was taken whole because no
    face was found in it. `failures` are the images of a `.bin` file that cannot be read; `pairs_left_out` had
    one of them.
    """

    path: Path
    images: NDArray[np.uint8]
    pairs: Pairs
    names: list[str]
    found: NDArray[np.bool_]
    failures: tuple[ImageFailure, ...] = ()
    pairs_left_out: int = 0


def open_pairs(path: Path) -> PairSet:
    """Open a folder that `pairs build` wrote, or a `.bin` file, also by its name without the ending.

    `cpf_fp`, a common slip, finds `cfp_fp`. Raises MissingFileError, PackedFileError, ListFormatError with
    the line, and EmptyDataError.
    """
    for place in (path, path.with_name(path.name.replace("cpf_fp", "cfp_fp"))):
        if (place / PAIRS).is_file():
            return _open_folder(place)
        for packed in (place, place.with_name(f"{place.name}.bin")):
            if packed.is_file():
                return _open_bin(packed)
    raise MissingFileError(path, "verification set (a folder that `pairs build` wrote, or a .bin file)")


def _open_folder(folder: Path) -> PairSet:
    images = _open_images(folder / PIXELS)
    names, found = _read_names(folder / IMAGES, len(images))
    return PairSet(folder, images, _read_pairs(folder / PAIRS, len(images)), names, found)


def _open_images(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise MissingFileError(path, "images of the verification set")
    return open_bytes(path, SHAPE, "run `pairs build` again")


def _read_names(path: Path, count: int) -> tuple[list[str], NDArray[np.bool_]]:
    names: list[str] = []
    found: list[bool] = []
    for line, (row, name, face) in _read_csv(path, IMAGE_COLUMNS):
        if row != str(len(names)) or face not in ("0", "1"):
            raise ListFormatError(path, line, f"expected row {len(names)}, and 0 or 1 for found")
        names.append(name)
        found.append(face == "1")
    if len(names) != count:
        raise PackedFileError(f"{path}: {len(names)} rows for {count} images; run `pairs build` again")
    return names, np.array(found)


def _read_pairs(path: Path, images: int) -> Pairs:
    rows = []
    for line, cells in _read_csv(path, PAIR_COLUMNS):
        if not all(map(_NUMBER.match, cells)):
            raise ListFormatError(path, line, f"expected numbers from 0, found {','.join(cells)[:80]}")
        first, second, same, _ = row = list(map(int, cells))
        if max(first, second) >= images or same > 1:
            raise ListFormatError(path, line, f"expected rows below {images}, and 0 or 1 for same")
        rows.append(row)
    if not rows:
        raise EmptyDataError(f"{path}: no pairs; run `pairs build` again")
    table = np.array(rows, np.int64)
    return Pairs(table[:, 0], table[:, 1], table[:, 2] == 1, table[:, 3])


def _read_csv(path: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows with their line, each as long as the header."""
    if not path.is_file():
        raise MissingFileError(path, "list of the verification set")
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.reader(file, strict=True)
        try:
            if next(reader, None) != list(header):
                raise ListFormatError(path, 1, f"expected the header {','.join(header)}")
            for cells in reader:
                if len(cells) != len(header):
                    raise ListFormatError(path, reader.line_num, f"expected {','.join(header)}")
                yield reader.line_num, cells
        except csv.Error as error:
            raise ListFormatError(path, reader.line_num, f"broken CSV ({error})") from error


def _open_bin(path: Path) -> PairSet:
    source = BinSource(path)
    images = np.empty((len(source), *SHAPE), np.uint8)
    names: list[str] = []
    failures: list[ImageFailure] = []
    usable = np.ones(len(source), np.bool_)
    for row in range(len(source)):
        name = source.name(row)
        try:
            images[len(names)] = fit(decode(source.read(row), name))
            names.append(name)
        except UnreadableImageError as error:
            failures.append(ImageFailure(name, str(error)))
            usable[row] = False
    pairs = source.pairs.among(usable, path)
    found, left_out = np.ones(len(names), np.bool_), len(source.pairs) - len(pairs)
    return PairSet(path, images[: len(names)], pairs, names, found, tuple(failures), left_out)


def write_pair_set(
    folder: Path, names: Sequence[str], pairs: Pairs, images: Iterable[tuple[Image, bool] | None]
) -> None:
    """Write the set `folder`; `images` gives for each name pixels (112, 112, 3) and `found`, or None.

    None is an image that cannot be used: it and its pairs are left out. The files appear when all are whole.
    Raises EmptyDataError when no pair is left, and WriteError.
    """
    with (
        whole_file(folder / PAIRS) as paired,
        whole_file(folder / IMAGES) as listed,
        whole_file(folder / PIXELS) as pixels,
    ):
        with pixels.open("wb") as file:
            found = _write_images(file, images)
        usable = np.array([one is not None for one in found])
        kept = pairs.among(usable, folder)
        there = [(name, one) for name, one in zip(names, found, strict=True) if one is not None]
        _write_csv(listed, IMAGE_COLUMNS, ((row, name, int(one)) for row, (name, one) in enumerate(there)))
        columns = (kept.first, kept.second, kept.same.astype(int), kept.fold)
        _write_csv(paired, PAIR_COLUMNS, zip(*(column.tolist() for column in columns), strict=True))


def _write_images(file: BinaryIO, images: Iterable[tuple[Image, bool] | None]) -> list[bool | None]:
    """The `.npy` file, and `found` of each image, None where it is left out."""
    found: list[bool | None] = []
    file.write(npy_header("|u1", (0, *SHAPE)))
    for image in images:
        found.append(None if image is None else image[1])
        if image is not None:
            file.write(image[0].tobytes())
    file.seek(0)
    file.write(npy_header("|u1", (len(found) - found.count(None), *SHAPE)))
    return found


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
