"""The beginning of an `.npy` file that is written row by row."""

from __future__ import annotations

import io

import numpy as np


def npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    """The header of an array in C order; `kind` is its dtype as NumPy writes it, `|u1` or `<f4`.

    NumPy pads it so that it keeps its length when the first number of the shape grows.
    """
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": kind, "fortran_order": False, "shape": shape})
    return content.getvalue()
