"""A model on verification sets: the cosines of their pairs."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from face_analysis.datasets.pairs.sets import PairSet
from face_analysis.errors import NoAnswerError
from face_analysis.evaluation.verification import VerificationReport, verify_pairs
from face_analysis.files import FailureLog
from face_analysis.inference.embedder import Embedder
from face_analysis.inference.embeddings import Embeddings, faults
from face_analysis.types import ImageFailure


def verify_set(
    pair_set: PairSet, embedder: Embedder, failures: FailureLog, batch_size: int = 96
) -> VerificationReport:
    """Embed the set's images and measure its pairs; a set's name is that of its folder or file.

    A bar on stderr shows the images. Those that the model has no embedding for go to `failures`, and the
    pairs with them are left out. Raises EmptyDataError where no pair is left, and NoAnswerError where the
    model has no embedding for any image.
    """
    pairs, names = pair_set.pairs, pair_set.names
    embeddings = embed_all(pair_set, embedder, batch_size)
    reasons = faults(embeddings)
    failures.add(
        ImageFailure(names[row], f"{names[row]}: {reason}", "no answer") for row, reason in reasons.items()
    )
    if len(reasons) == len(embeddings):
        raise NoAnswerError(
            f"{pair_set.path}: the model has no embedding for any of {len(names)} images, "
            f"such as {names[0]}: {reasons[0]}"
        )
    usable = np.array([row not in reasons for row in range(len(embeddings))])
    kept = pairs.among(usable, pair_set.path)
    embeddings = embeddings[usable]
    scores = np.einsum("pd,pd->p", embeddings[kept.first], embeddings[kept.second])
    return verify_pairs(
        pair_set.path.stem,
        scores,
        kept.same,
        kept.fold,
        images=len(embeddings),
        faces_missed=int((~pair_set.found).sum()),
        pairs_left_out=pair_set.pairs_left_out + len(pairs) - len(kept),
    )


def embed_all(pair_set: PairSet, embedder: Embedder, batch_size: int) -> Embeddings:
    """What the embedder gives for all images of a set, (N, D)."""
    images = pair_set.images
    starts = range(0, len(images), batch_size)
    parts = []
    with tqdm(total=len(images), desc=pair_set.path.stem, unit=" images") as bar:
        for start in starts:
            parts.append(embedder.embed(np.array(images[start : start + batch_size])))
            bar.update(len(parts[-1]))
    return np.concatenate(parts)
