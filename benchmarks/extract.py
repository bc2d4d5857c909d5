"""Chips a second through IR-SE-50 and SFace: as `face-analysis extract` does it, and one image at a time.

One at a time: decode, normalise, call the network in float32; of SFace the file's own graph, run by OpenCV.

python -m benchmarks.extract
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.model_speed import Way, options, report, seconds_in_turn
from face_analysis.bulk import Job, Output, run_bulk
from face_analysis.datasets.sources import open_source
from face_analysis.datasets.synthetic import write_patterns
from face_analysis.images.chips import ChipMaker
from face_analysis.inference.embedder import EmbeddingModel, TorchEmbedder
from face_analysis.inference.extract import FeatureSink
from face_analysis.inference.pipeline import FaceBlock, inputs
from face_analysis.matching.features.feature_set import INDEX
from face_analysis.memory import keep_freed_memory
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import Backbone
from face_analysis.models.sface import load_sface
from face_analysis.zoo.card import BackboneConfig
from face_analysis.zoo.find import find


def chips(count: int) -> Path:
    return write_patterns(Path(tempfile.mkdtemp()), count, seed=0)


def ir_se_50() -> Backbone:
    return build_backbone(BackboneConfig()).eval()


def sface() -> Backbone:
    return load_sface(find("sface"))


def ours(network: Callable[[], Backbone], count: int) -> Callable[[], None]:
    keep_freed_memory()
    image_list = chips(count)
    source, embedder = open_source(image_list.parent, image_list), TorchEmbedder(network())
    output = Output(image_list.parent / "set" / INDEX)
    job = Job(
        "extract",
        count,
        partial(inputs, source),
        FaceBlock(ChipMaker(), (EmbeddingModel(embedder),)),
        FeatureSink(output.main.parent, source, embedder.size, "set"),
        {},
        "",
    )

    def extract() -> None:
        assert run_bulk(job, output).faces == count

    return extract


def one_by_one(call: Callable[[Any], object], count: int) -> Callable[[], None]:
    image_list = chips(count)
    source = open_source(image_list.parent, image_list)

    def extract() -> None:
        for row in range(count):
            image = cv2.imdecode(np.frombuffer(source.read(row), np.uint8), cv2.IMREAD_COLOR_RGB)
            assert image is not None
            call(image.transpose(2, 0, 1)[None].astype(np.float32))

    return extract


def plain_ir_se_50(count: int) -> Callable[[], None]:
    network = ir_se_50()

    @torch.inference_mode()
    def call(pixels: Any) -> object:
        return network(torch.from_numpy(pixels) / 127.5 - 1)

    return one_by_one(call, count)


def plain_sface(count: int) -> Callable[[], None]:
    network: Any = cv2.dnn.readNetFromONNX(str(find("sface")))

    def call(pixels: Any) -> object:
        network.setInput(pixels, "data")
        return network.forward()

    return one_by_one(call, count)


def main() -> None:
    ways: dict[str, Way] = {
        "IR-SE-50, one by one": plain_ir_se_50,
        "IR-SE-50, ours": partial(ours, ir_se_50),
        "SFace, one by one": plain_sface,
        "SFace, ours": partial(ours, sface),
    }
    given = options(__doc__, ways, batch=192, output="results/extract.csv")
    seconds = seconds_in_turn(ways, given.batch, given.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    own = {
        name: {"times_one_by_one": f"{medians[name.replace('ours', 'one by one')] / median:.2f}"}
        for name, median in medians.items()
    }
    report(given.output, seconds, given.batch, {}, own)


if __name__ == "__main__":
    main()
