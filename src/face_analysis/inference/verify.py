"""A model on verification sets: the cosines of their pairs."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from face_analysis.datasets.pairs.sets import PairSet
from face_analysis.evaluation.verification import VerificationReport, verify_pairs
from face_analysis.inference.embedder import Embedder, Embeddings


def verify_set(pair_set: PairSet, embedder: Embedder, batch_size: int = 96) -> VerificationReport:
    """Embed the set's images and measure its pairs; a set's name is that of its folder or file.

    A bar on stderr shows the images. Raises UsageError for scores that are not finite.
    """
    pairs = pair_set.pairs
    embeddings = embed_all(pair_set, embedder, batch_size)
    scores = np.einsum("pd,pd->p", embeddings[pairs.first], embeddings[pairs.second])
    return verify_pairs(
        pair_set.path.stem,
        scores,
        pairs.same,
        pairs.fold,
        images=len(pair_set.images),
        faces_missed=int((~pair_set.found).sum()),
        pairs_left_out=pair_set.pairs_left_out,
    )


def embed_all(pair_set: PairSet, embedder: Embedder, batch_size: int) -> Embeddings:
    """Embeddings (N, D) of all images of a set."""
    images = pair_set.images
    starts = range(0, len(images), batch_size)
    parts = []
    with tqdm(total=len(images), desc=pair_set.path.stem, unit=" images") as bar:
        for start in starts:
            parts.append(embedder.embed(np.array(images[start : start + batch_size])))
            bar.update(len(parts[-1]))
    return np.concatenate(parts)
