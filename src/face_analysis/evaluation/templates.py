"""Templates: one embedding for all the images of a person that are compared at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]
Floats = NDArray[np.float32]


class TemplatePool:
    """Gathers the embeddings of N images as they come, and pools them into T templates.

    `template` (N,), 0 to T - 1, and `media` (N,) say where an image belongs. A template is the sum over its
    media of the mean of each one's images, so that a video of many frames counts as much as a still. Only the
    sums of medias are held, not the embeddings.
    """

    def __init__(self, template: Integers, media: Integers, size: int) -> None:
        groups, inverse = np.unique(np.column_stack([template, media]), axis=0, return_inverse=True)
        self._group = inverse.reshape(-1)
        self._template = groups[:, 0]
        self._sums = np.zeros((len(groups), size), np.float32)
        self._counts = np.zeros(len(groups), np.float32)

    def add(self, rows: Integers, embeddings: Floats) -> None:
        """Take in the embeddings (K, size) of K of the images."""
        groups = self._group[rows]
        np.add.at(self._sums, groups, embeddings)
        np.add.at(self._counts, groups, 1)

    def templates(self) -> tuple[Floats, NDArray[np.bool_]]:
        """(T, size), each of length 1, and (T,): which have an image; those without are zeros."""
        sums = np.zeros((self._template[-1] + 1, self._sums.shape[1]), np.float32)
        there = np.zeros(len(sums), np.bool_)
        np.add.at(sums, self._template, self._sums / np.maximum(self._counts, 1)[:, None])
        there[self._template[self._counts > 0]] = True
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return sums / np.maximum(lengths, np.float32(1e-12)), there
