"""Verification sets: made of photos, and a model measured on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from face_analysis.datasets.pairs.pairs import Pairs
from face_analysis.datasets.pairs.sets import PairSet, open_pairs, write_pair_set
from face_analysis.datasets.sources import ImageSource
from face_analysis.errors import NoAnswerError
from face_analysis.evaluation.verification import VerificationReport, verify_pairs
from face_analysis.files import Failures
from face_analysis.images.chips import ChipMaker
from face_analysis.inference.embedder import Embedder
from face_analysis.inference.embeddings import Embeddings, faults
from face_analysis.inference.pipeline import FaceBlock, inputs
from face_analysis.types import Image, ImageFailure


def verify_set(
    pair_set: PairSet, embedder: Embedder, failures: Failures, batch_size: int = 96
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


def build_pairs(
    source: ImageSource, pairs: Pairs, maker: ChipMaker, folder: Path, failures: Failures, workers: int
) -> PairSet:
    """Write the set `folder` of the source's images, of which `pairs` are rows, and open it.

    `maker` makes one chip of each image: it takes aligned faces as they are, or looks for one face and takes
    a photo whole where it finds none. Images that cannot be read go to `failures`, and the pairs with them
    are left out. Raises EmptyDataError when no pair is left, and WriteError.
    """

    def chips() -> Iterator[tuple[Image, bool] | None]:
        photos = FaceBlock(maker, workers=workers, keep_chips=True)(inputs(source))
        for photo in tqdm(photos, total=len(source), desc=f"pairs {folder.name}", unit=" images"):
            if photo.failure is not None:
                failures.add([photo.failure])
                yield None
            else:
                (face,) = photo.faces
                assert face.chip is not None
                yield face.chip, face.detection is not None or maker.detector is None

    names = [source.name(row) for row in range(len(source))]
    write_pair_set(folder, names, pairs, chips())
    return open_pairs(folder)
