"""InsightFace's verification sets (.bin): a pickle that may come from anywhere, read without trusting it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.pairs.pairs import Pairs, folds
from face_analysis.datasets.pairs.pickle_sizes import check_sizes
from face_analysis.errors import MissingFileError, PackedFileError

_BROKEN = (
    pickle.UnpicklingError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    OverflowError,
)


class BinSource:
    """The images of a `.bin` file, each once however many pairs it is in, and its `pairs`.

    The folds are ten equal parts in the order of the file. All encoded images are held in memory. Raises as
    `read_bin`.
    """

    def __init__(self, path: Path) -> None:
        images, same = read_bin(path)
        rows: dict[bytes, int] = {}
        row_of = np.array([rows.setdefault(image, len(rows)) for image in images], np.int64)
        self.images = list(rows)
        self.pairs = Pairs(row_of[0::2], row_of[1::2], same, folds(len(same)))
        self._positions = np.unique(row_of, return_index=True)[1]
        self._path = path

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> dict[str, NDArray[np.int64]]:
        """None: the file knows pairs, not people."""
        return {}

    @property
    def strings(self) -> dict[str, list[str]]:
        """None: such files hold no text."""
        return {}

    @property
    def origin(self) -> Path:
        """The file's path."""
        return self._path

    def name(self, index: int) -> str:
        """`file[position]`, where the file has the image first."""
        return f"{self._path.name}[{self._positions[index]}]"

    def read(self, index: int) -> bytes:
        """The encoded image."""
        return self.images[index]

    def read_mask(self, index: int) -> bytes | None:
        """None: such files hold no masks."""
        return None


def read_bin(path: Path) -> tuple[list[bytes], NDArray[np.bool_]]:
    """Encoded images, two a pair in the order of the pairs, and whether each pair (P,) is of one person.

    Pickles of Python 2 and 3 in every protocol are read, and no code of theirs is run: of what they may call
    there are only stand-ins for the NumPy arrays and booleans of such files. Raises MissingFileError, and
    PackedFileError for a file that holds anything else, or claims more than its own size, before it is read
    whole.
    """
    if not path.is_file():
        raise MissingFileError(path, "verification set")
    try:
        with path.open("rb") as file:
            check_sizes(file)
            images, same = _Unpickler(file).load()
        encoded = [_image(one) for one in _items(images)]
        truths = [_truth(one) for one in _items(same)]
        if not truths or len(encoded) != 2 * len(truths):
            raise ValueError(f"{len(encoded)} images do not make {len(truths)} pairs")
    except _BROKEN as error:
        raise PackedFileError(
            f"{path}: no verification set, or damaged ({error}); give a .bin file as InsightFace makes them"
        ) from error
    return encoded, np.array(truths)


class _Type:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        if code not in ("b1", "u1", b"b1", b"u1"):
            raise TypeError("its numbers are neither booleans nor bytes")

    def __setstate__(self, _: object) -> None:
        """The state is the order of bytes, and names: a single byte has neither."""


class _Array:
    """Stands in for `numpy.ndarray`: the bytes of a one-dimensional one."""

    data = b""

    def __setstate__(self, state: tuple[object, tuple[int], _Type, object, bytes]) -> None:
        _, shape, _, _, self.data = state
        if not isinstance(self.data, bytes) or shape != (len(self.data),):
            raise TypeError("an array does not have one dimension, or not its length")


class _Copies:
    """What makes bytes of others; together no more than `limit`, or a small file could fill the memory."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def encode(self, text: str, encoding: str | bytes) -> bytes:
        """Bytes, which Python 3 writes as text where Python 2 shall read them."""
        if encoding not in ("latin1", b"latin1"):
            raise ValueError("text in an unknown encoding")
        self._count(text)
        return text.encode("latin1")

    def from_buffer(self, data: bytes | bytearray, kind: _Type, shape: tuple[int], _: object) -> _Array:
        """An array as protocol 5 writes it."""
        self._count(data)
        array = _Array()
        array.__setstate__((1, shape, kind, False, bytes(data)))
        return array

    def _count(self, data: str | bytes | bytearray) -> None:
        self.left -= len(data)
        if self.left < 0:
            raise ValueError("it would become larger than the file")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        copies = _Copies(file.seek(0, os.SEEK_END))
        file.seek(0)
        super().__init__(file, encoding="bytes")
        self.allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("_codecs", "encode"): copies.encode,
            ("numpy", "dtype"): _Type,
            ("numpy", "ndarray"): _Array,
        }
        for core in ("numpy.core", "numpy._core"):
            self.allowed[f"{core}.multiarray", "_reconstruct"] = lambda *_: _Array()
            self.allowed[f"{core}.multiarray", "scalar"] = lambda _, value: value != b"\0"
            self.allowed[f"{core}.numeric", "_frombuffer"] = copies.from_buffer

    def find_class(self, module: str, name: str) -> Any:
        """What may be called; raises UnpicklingError for everything else."""
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it asks for `{module[:40]}.{name[:40]}`, which is refused")
        return self.allowed[module, name]


def _items(value: object) -> Sequence[Any]:
    if isinstance(value, _Array):
        return value.data
    if not isinstance(value, list | tuple):
        raise TypeError("expected a list of images and a list of booleans")
    return value


def _image(value: object) -> bytes:
    image = value.data if isinstance(value, _Array) else value
    if not isinstance(image, bytes):
        raise TypeError(f"expected encoded images, found {type(image).__name__}")
    return image


def _truth(value: object) -> bool:
    if not isinstance(value, int) or value not in (0, 1):
        raise TypeError("expected true or false for each pair")
    return bool(value)
