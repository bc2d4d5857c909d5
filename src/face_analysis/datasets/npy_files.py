"""`.npy` files that are written row by row, and opened without trust in their header."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import PackedFileError


def npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    """The header of an array in C order; `kind` is its dtype as NumPy writes it, `|u1` or `<f4`.

    NumPy pads it so that it keeps its length when the first number of the shape grows.
    """
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": kind, "fortran_order": False, "shape": shape})
    return content.getvalue()


def open_bytes(path: Path, row: tuple[int, ...], advice: str) -> NDArray[np.uint8]:
    """The rows of a file of uint8 (N, *row), memory-mapped.

    Raises PackedFileError, which ends in the advice, for another array or a file that is cut short.
    """
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            shape, by_columns, kind = np.lib.format.read_array_header_1_0(file)
        except Exception as error:  # NumPy raises many kinds for a header that is damaged
            raise _wrong(path, row, advice) from error
        start = file.tell()
    if version != (1, 0) or by_columns or kind != np.uint8 or shape[1:] != row or not shape or shape[0] < 0:
        raise _wrong(path, row, advice)
    expected, actual = start + math.prod(shape), path.stat().st_size
    if actual != expected:
        raise PackedFileError(f"{path}: {actual} of {expected} bytes are there; {advice}")
    return np.memmap(path, np.uint8, "r", start, shape)


def _wrong(path: Path, row: tuple[int, ...], advice: str) -> PackedFileError:
    return PackedFileError(f"{path}: expected NumPy's uint8 (N, {', '.join(map(str, row))}); {advice}")
