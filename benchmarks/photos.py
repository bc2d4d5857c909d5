"""Photos of 640x480 with one face: what `face-analysis predict` does against a plain loop, and finding alone.

python -m benchmarks.photos
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.model_speed import options, report, seconds_in_turn
from face_analysis import FaceAnalyzer
from face_analysis.images.align import CHIP_SIZE, TEMPLATE
from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode
from face_analysis.images.detect import THRESHOLD
from face_analysis.inference.attributes import open_models
from face_analysis.inference.pipeline import FaceBlock
from face_analysis.memory import keep_freed_memory
from face_analysis.types import Image, Input
from face_analysis.zoo.find import find
from tests.generators.portraits import HEIGHT, WIDTH, portrait_photos


def plain_loop(count: int) -> Callable[[], None]:
    """Read, find, align, predict the chip and its mirror image, one photo after the other, in float32."""
    detect, network = _plain_detector(), open_models("attributes")["age"].network.eval()
    paths = portrait_photos(count)

    @torch.inference_mode()
    def run() -> None:
        for path in paths:
            image = cv2.imread(str(path))
            assert image is not None
            (face,) = detect(image)
            matrix = cv2.estimateAffinePartial2D(face[4:14].reshape(5, 2), TEMPLATE)[0]
            assert matrix is not None
            chip = cv2.cvtColor(cv2.warpAffine(image, matrix, (CHIP_SIZE, CHIP_SIZE)), cv2.COLOR_BGR2RGB)
            pixels = torch.from_numpy(chip).permute(2, 0, 1)[None].float() / 127.5 - 1
            network(torch.cat([pixels, pixels.flip(3)]))

    return run


def ours(count: int) -> Callable[[], None]:
    keep_freed_memory()
    analyzer, paths = FaceAnalyzer(), portrait_photos(count)

    def run() -> None:
        assert all(len(photo.faces) == 1 for photo in analyzer.analyze_many(paths))

    return run


def plain_finding(count: int) -> Callable[[], None]:
    detect, paths = _plain_detector(), portrait_photos(count)

    def run() -> None:
        for path in paths:
            assert len(detect(cv2.imread(str(path)))) == 1

    return run


def our_finding(count: int) -> Callable[[], None]:
    """As `face-analysis align` does it, but for writing: finding and cutting the chip."""
    keep_freed_memory()
    maker, paths = ChipMaker.with_detector(), portrait_photos(count)

    def run() -> None:
        photos = (Input(path.name, partial(_decoded, path)) for path in paths)
        assert all(len(photo.faces) == 1 for photo in FaceBlock(maker, keep_chips=True)(photos))

    return run


def _decoded(path: Path) -> Image:
    return decode(path.read_bytes(), path.name)


def _plain_detector() -> Callable[[Any], Any]:
    network = cv2.FaceDetectorYN.create(str(find("yunet")), "", (WIDTH, HEIGHT), THRESHOLD, 0.3, 5000)
    return lambda image: network.detect(image)[1]


def main() -> None:
    ways = {
        "plain loop": plain_loop,
        "ours": ours,
        "plain finding": plain_finding,
        "our finding": our_finding,
    }
    given = options(__doc__, ways, batch=200, output="results/photos.csv")
    seconds = seconds_in_turn(ways, given.batch, given.rounds)
    report(given.output, seconds, given.batch, {"photo": f"{WIDTH}x{HEIGHT} JPEG, one face"})


if __name__ == "__main__":
    main()
