"""The images of InsightFace's verification sets (.bin)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.pairs.bins import read_bin
from face_analysis.datasets.pairs.pairs import Pairs, folds


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
