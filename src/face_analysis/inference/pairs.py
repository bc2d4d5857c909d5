"""Verification sets of photos: the face of each image, cut once, and the pairs that are left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from face_analysis.datasets.pairs.pairs import Pairs
from face_analysis.datasets.pairs.sets import PairSet, open_pairs
from face_analysis.datasets.pairs.writer import write_pair_set
from face_analysis.datasets.sources import ImageSource
from face_analysis.files import FailureLog
from face_analysis.images.chips import FaceCutter
from face_analysis.inference.pipeline import FaceBlock, inputs
from face_analysis.types import Image


def build_pairs(
    source: ImageSource, pairs: Pairs, cutter: FaceCutter, folder: Path, failures: FailureLog, workers: int
) -> PairSet:
    """Write the set `folder` of the source's images, of which `pairs` are rows, and open it.

    `cutter` makes one chip of each image: it takes aligned faces as they are, or looks for one face and takes
    a photo whole where it finds none. Images that cannot be read go to `failures`, and the pairs with them
    are left out. Raises EmptyDataError when no pair is left, and WriteError.
    """

    def chips() -> Iterator[tuple[Image, bool] | None]:
        photos = FaceBlock(cutter, workers=workers, keep_chips=True)(inputs(source))
        for photo in tqdm(photos, total=len(source), desc=f"pairs {folder.name}", unit=" images"):
            if photo.failure is not None:
                failures.add([photo.failure])
                yield None
            else:
                (face,) = photo.faces
                assert face.chip is not None
                yield face.chip, face.detection is not None or cutter.detector is None

    names = [source.name(row) for row in range(len(source))]
    write_pair_set(folder, names, pairs, chips())
    return open_pairs(folder)
