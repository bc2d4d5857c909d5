"""1:N search by FAISS (Douze et al. 2024): faster for many probes, and not exact where it looks into a part.

The gallery's rows are in lists about the centres that k-means found, and a search looks into the lists whose
centres are nearest to the probe (IVF; Sivic and Zisserman 2003). It looks at every row where it looks into
every list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from face_analysis.errors import MissingPackageError, UsageError
from face_analysis.matching.blocks import exact_cosines
from face_analysis.matching.candidates import best_of, no_candidates, recall
from face_analysis.matching.comparison import Comparison, Numbers, Records, Side
from face_analysis.matching.features.feature_set import ROWS_AT_ONCE
from face_analysis.matching.search import search

LISTS_PER_ROOT = 4
"""Lists for each unit of the square root of the gallery's rows."""
FEWEST_TRAINED, MOST_TRAINED = 39, 64
"""Rows of a list, as FAISS asks for, and those that k-means is given."""
PROBES_AT_ONCE = 256
SAMPLE = 1000
"""Probes that recall is judged by."""


class FaissIndex:
    """The gallery in memory, float32; `exact` says whether every row is looked at for every probe.

    `lists` is how many there are (default: 4 roots of the rows; of a small gallery, fewer), `looked_into` how
    many a search looks into. Raises MissingPackageError, and UsageError where the gallery takes more than
    `memory` (bytes), or numbers are out of range.
    """

    def __init__(self, comparison: Comparison, lists: int | None, looked_into: int, memory: float) -> None:
        gallery = comparison.gallery
        count, size = len(gallery), gallery.features.size
        most = max(count // FEWEST_TRAINED, 1)
        self.lists = min(int(LISTS_PER_ROOT * count**0.5), most) if lists is None else lists
        self.looked_into = min(looked_into, self.lists)
        self.exact = self.looked_into == self.lists
        if not 1 <= self.lists <= most or looked_into < 1:
            raise UsageError(f"--lists must lie between 1 and {most} here, and --nprobe be at least 1")
        if 4 * count * size > memory:
            raise UsageError(
                f"FAISS keeps the gallery in memory, {4 * count * size / 1e9:.2g} GB: give --memory as much, "
                "or take --index exact"
            )
        self._index = _filled(gallery, self.lists, self.looked_into)
        self._comparison = comparison
        self._own = _rows_of_picture(comparison.probes, gallery)

    def search(self, probes: Numbers, top: int) -> Iterator[Records]:
        """The candidates of these rows of the probes, as `search.search` gives them, of the rows looked at.

        Where the scores of rows are as good as equal in float32, any of these rows may come last.
        """
        for start in range(0, len(probes), PROBES_AT_ONCE):
            yield self._search(probes[start : start + PROBES_AT_ONCE], top)

    def recall(self, top: int, memory: float) -> dict[str, float]:
        """`recall`, the fraction of the exact candidates that is found, of `recall_probes` over the set."""
        count = len(self._comparison.probes)
        probes = np.arange(0, count, -(-count // SAMPLE))
        exact = np.concatenate(list(search(self._comparison, probes, top, memory)))
        found = np.concatenate(list(self.search(probes, top)))
        return {"recall": recall(found, exact), "recall_probes": len(probes)}

    def _search(self, probes: Numbers, top: int) -> Records:
        side, gallery = self._comparison.probes, self._comparison.gallery
        features = side.features.read(probes)
        rows = self._index.search(features, min(top + int(self._own[probes].max()), len(gallery)))[1]
        picture = side.rows["picture"][probes][:, None]
        kept = (rows >= 0) & ((picture < 0) | (gallery.rows["picture"][rows] != picture))
        probe, place = np.nonzero(kept)
        row = rows[probe, place]
        read, column = np.unique(row, return_inverse=True)
        found = torch.from_numpy(gallery.features.read(read))
        scores = exact_cosines(torch.from_numpy(features), found, probe, column)
        return best_of(no_candidates(len(probes), top), probe, row, scores)


def faiss_module() -> Any:
    """FAISS; a command calls it before it begins. Raises MissingPackageError."""
    logging.getLogger("faiss").setLevel(logging.WARNING)  # or it tells in five lines which build it loads
    try:
        import faiss
    except ImportError:
        raise MissingPackageError("--index faiss", "faiss-cpu", "faiss") from None
    return faiss


def _filled(gallery: Side, lists: int, looked_into: int) -> Any:
    faiss = faiss_module()
    count, size = len(gallery), gallery.features.size
    index: Any = faiss.IndexFlatIP(size)
    if looked_into < lists:
        index = faiss.IndexIVFFlat(index, size, lists, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = looked_into
        index.train(gallery.features.read(np.arange(0, count, max(count // (MOST_TRAINED * lists), 1))))
    for start in range(0, count, ROWS_AT_ONCE):
        index.add(gallery.features.read(np.arange(start, min(start + ROWS_AT_ONCE, count))))
    return index


def _rows_of_picture(probes: Side, gallery: Side) -> Numbers:
    """How many rows of the gallery show the picture of each probe (P,)."""
    picture = gallery.rows["picture"]
    most = int(max(probes.rows["picture"].max(), picture.max())) + 1
    counts = np.append(np.bincount(picture[picture >= 0], minlength=most), 0)
    found: Numbers = counts[probes.rows["picture"]]  # a picture that occurs once, -1, takes the last
    return found
