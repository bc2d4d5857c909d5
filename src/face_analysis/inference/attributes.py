"""Race, gender and age of many aligned faces: images are decoded in threads while the networks run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from face_analysis.datasets.attributes import ATTRIBUTES, Attribute
from face_analysis.datasets.faces import read_images
from face_analysis.datasets.sources import ImageSource
from face_analysis.images.normalise import normalise
from face_analysis.losses.ordinal import counted_age, expected_age
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.precision import for_inference
from face_analysis.types import ImageFailure, Prediction


class PredictedBatch(NamedTuple):
    """Predictions in the order of the source, their rows in it, and the images that could not be read."""

    predictions: list[Prediction]
    rows: list[int]
    failures: list[ImageFailure]


class AttributePredictor:
    """Predicts with one network for each attribute; several attributes may share a network, which runs once.

    Uses a GPU where there is one, and bf16 where it is fast.
    """

    def __init__(self, networks: Mapping[Attribute, AttributeNetwork]) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.attributes = tuple(name for name in ATTRIBUTES if name in networks)
        distinct = {id(network): network for network in networks.values()}
        ready = {key: for_inference(network, self.device) for key, network in distinct.items()}
        self._jobs: list[tuple[nn.Module, list[Attribute]]] = [
            (module, [name for name in self.attributes if id(networks[name]) == key])
            for key, module in ready.items()
        ]

    def predict(
        self, source: ImageSource, batch_size: int = 96, workers: int = 4
    ) -> Iterator[PredictedBatch]:
        """Predict every image of a source, a batch at a time; at most `workers` + 1 batches wait decoded."""
        starts = iter(range(0, len(source), batch_size))
        waiting: deque[tuple[int, Future[tuple[Tensor, list[int], list[ImageFailure]]]]] = deque()
        with ThreadPoolExecutor(max(workers, 1)) as pool:

            def decode_next() -> None:
                if (start := next(starts, None)) is not None:
                    rows = np.arange(start, min(start + batch_size, len(source)))
                    waiting.append((start, pool.submit(read_images, source, rows)))

            for _ in range(max(workers, 1) + 1):
                decode_next()
            while waiting:
                start, future = waiting.popleft()
                images, read, failures = future.result()
                decode_next()
                rows = [start + position for position in read]
                names = [source.name(row) for row in rows]
                yield PredictedBatch(self.predict_chips(images, names), rows, failures)

    @torch.inference_mode()
    def predict_chips(self, chips: Tensor, names: list[str]) -> list[Prediction]:
        """Predict uint8 (N, 3, 112, 112) RGB chips, named `names`."""
        if not names:
            return []
        images = normalise(chips.to(self.device))
        logits: dict[Attribute, Tensor] = {}
        for network, attributes in self._jobs:
            output = network(images)
            logits |= {name: output[name].cpu() for name in attributes}
        columns = {name: logits[name].softmax(dim=1).numpy() for name in ("race", "gender") if name in logits}
        ages = expected_age(logits["age"]).tolist() if "age" in logits else None
        counts = counted_age(logits["age"]).tolist() if "age" in logits else None
        return [
            Prediction(
                path=name,
                race=columns["race"][i] if "race" in columns else None,
                gender=columns["gender"][i] if "gender" in columns else None,
                age=ages[i] if ages is not None else None,
                age_count=counts[i] if counts is not None else None,
            )
            for i, name in enumerate(names)
        ]


@dataclass(frozen=True)
class PredictedArrays:
    """Predictions of N images as arrays (N,): rows of the source, class codes or ages, and the failures."""

    rows: NDArray[np.int64]
    values: dict[Attribute, NDArray[np.number]]
    age_count: NDArray[np.int64] | None
    failures: list[ImageFailure]

    @classmethod
    def collect(cls, batches: Iterable[PredictedBatch]) -> PredictedArrays:
        """Gather all batches of a source."""
        predictions: list[Prediction] = []
        rows: list[int] = []
        failures: list[ImageFailure] = []
        for batch in batches:
            predictions += batch.predictions
            rows += batch.rows
            failures += batch.failures
        columns: dict[Attribute, list[float | None]] = {
            "race": [None if p.race is None else int(p.race.argmax()) for p in predictions],
            "gender": [None if p.gender is None else int(p.gender.argmax()) for p in predictions],
            "age": [p.age for p in predictions],
        }
        present = {
            name: np.array(values) for name, values in columns.items() if values and values[0] is not None
        }
        counts = np.array([p.age_count for p in predictions], np.int64) if "age" in present else None
        return cls(np.array(rows, np.int64), present, counts, failures)
