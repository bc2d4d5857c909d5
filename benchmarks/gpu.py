"""Training, inference and extraction on a GPU: images a second, waiting for data, memory.

python -m benchmarks.gpu [--minutes M] [--dry_run]; `benchmarks/gpu.sh` runs the tests for GPUs before it.
Cases that do not fit into the time are left out, and said so.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.model_speed import smooth_images, write_rows
from face_analysis.cli.main import run
from face_analysis.datasets.faces import FaceBatch, FaceDataset
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.pack import pack
from face_analysis.datasets.pairs.pairs import Pairs
from face_analysis.datasets.pairs.sets import write_pair_set
from face_analysis.datasets.sources import FolderSource
from face_analysis.datasets.synthetic import write_patterns
from face_analysis.errors import FaceAnalysisError
from face_analysis.machine import Form, Precision, all_threads
from face_analysis.models.backbone import build_backbone
from face_analysis.models.precision import for_inference
from face_analysis.models.weights import save_model
from face_analysis.training.data import BatchLoader
from face_analysis.training.loop import TrainingLoop
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.zoo.card import BackboneConfig, recognition_card

PEOPLE, DISTINCT = 1024, 2048


@dataclass(frozen=True)
class Sizes:
    """How large the cases are."""

    device: str
    precision: Precision
    depths: tuple[int, ...]
    width: float
    batches: tuple[int, ...]
    classes: tuple[tuple[int, float], ...]
    compiled: tuple[bool, ...]
    images: int
    warm: int
    steps: int


REAL = Sizes(
    "cuda",
    "bf16-mixed",
    (50, 100),
    1.0,
    (128, 512),
    ((93_431, 1.0), (2_000_000, 0.1)),
    (False, True),
    20_480,
    8,
    24,
)
DRY = Sizes("cpu", "32-true", (18,), 0.125, (4, 8), ((40, 1.0), (100, 0.5)), (False,), 64, 1, 2)


@dataclass(frozen=True)
class Case:
    """One training that is measured."""

    depth: int
    batch: int
    compiled: bool
    classes: int
    rate: float
    source: str


def cases(sizes: Sizes) -> list[Case]:
    """All of them, those first that differ least from the usual one: there may be no time for the others."""
    found = [
        Case(depth, batch, compiled, *classes, source)
        for compiled, classes, source, depth, batch in product(
            sizes.compiled, sizes.classes, ("memory", "lmdb"), sizes.depths, sizes.batches
        )
    ]

    def differences(case: Case) -> int:
        small, sampled = case.batch < max(sizes.batches), case.rate < 1
        return small + sampled + case.compiled + (case.source == "lmdb")

    return sorted(found, key=differences)


class Measured(Exception):  # noqa: N818  # it ends a run that has told enough
    """Enough steps were made."""


class Watch:
    """Notes when steps begin and how long the host waits for images; ends the run after enough steps."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.parts, self.waited, self.host, self.seconds = 0, 0.0, 0.0, 0.0
        self._begun = 0.0

    def _now(self) -> float:
        if self.sizes.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def part(self, method: Any) -> Any:
        """In the place of a pass of a step."""

        def watched(loop: TrainingLoop, batch: FaceBatch) -> None:
            if self.parts == self.sizes.warm:
                if self.sizes.device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                self._begun, self.waited, self.host = self._now(), 0.0, 0.0
            if self.parts == self.sizes.warm + self.sizes.steps:
                self.seconds = self._now() - self._begun
                raise Measured
            self.parts += 1
            asked = time.perf_counter()
            method(loop, batch)
            self.host += time.perf_counter() - asked

        return watched

    def loader(self) -> type[BatchLoader]:
        """A loader whose batches are waited for by the clock."""
        watch = self

        class Watched(BatchLoader):
            def __iter__(self) -> Iterator[FaceBatch]:  # type: ignore[override]
                batches = super().__iter__()
                while True:
                    asked = time.perf_counter()
                    batch = next(batches, None)
                    watch.waited += time.perf_counter() - asked
                    if batch is None:
                        return
                    yield batch

        return Watched


def kept_in_memory(method: Any) -> Any:
    """In the place of reading: each batch is made of images that were read once."""
    held: dict[int, FaceBatch] = {}

    def read(dataset: FaceDataset, indices: Sequence[int]) -> FaceBatch:
        if id(dataset) not in held:
            held[id(dataset)] = method(dataset, range(min(len(dataset), DISTINCT)))
        whole = held[id(dataset)]
        places = torch.as_tensor(indices) % len(whole.images)
        images = whole.images.permute(0, 2, 3, 1)[places].permute(0, 3, 1, 2)
        return FaceBatch(images, whole.labels[places], torch.as_tensor(indices), [])

    return read


def images_per_second(case: Case, sizes: Sizes, folder: Path) -> dict[str, str]:
    """Of the real training loop, from its steps after the first ones."""
    options = TrainOptions(
        ("recognition",),
        train_source=folder / "people.lmdb",
        val_source=folder / "sets",
        val_list=("few",),
        output=folder / "run",
        overwrite=True,
        depth=case.depth,
        net_mode="ir",
        width=sizes.width,
        batch_size=case.batch,
        accumulate=1,
        epochs=10_000,
        num_classes=case.classes,
        sample_rate=case.rate,
        compile=case.compiled,
        jitter=0.5,
        workers=0 if case.source == "memory" else min(16, all_threads()),
        device=sizes.device,
        precision=sizes.precision,
        validations=1,
        margin=0.5,
    )
    watch = Watch(sizes)
    with ExitStack() as patches:
        watched = watch.part(TrainingLoop._train_part)
        patches.enter_context(patch.object(TrainingLoop, "_train_part", watched))
        for name in ("_validate", "_save"):
            patches.enter_context(patch.object(TrainingLoop, name, lambda *_, **__: None))
        patches.enter_context(patch("face_analysis.training.data.BatchLoader", watch.loader()))
        if case.source == "memory":
            kept = kept_in_memory(FaceDataset.__getitems__)
            patches.enter_context(patch.object(FaceDataset, "__getitems__", kept))
        with suppress(Measured):
            train(options)
    peak = torch.cuda.max_memory_allocated() / 2**30 if sizes.device == "cuda" else None
    return {
        "images_per_second": f"{case.batch * sizes.steps / watch.seconds:.1f}",
        "step_ms": f"{1000 * watch.seconds / sizes.steps:.2f}",
        "host_ms_a_step": f"{1000 * watch.host / sizes.steps:.2f}",
        "host_waits_for_images": f"{watch.waited / watch.seconds:.3f}",
        "peak_GiB": "" if peak is None else f"{peak:.2f}",
    }


def training(sizes: Sizes, folder: Path, until: float) -> list[dict[str, str]]:
    """A row a case; one that does not fit into the time or the memory has its reason."""
    rows = []
    for case in cases(sizes):
        found = {"why_not": "no time left"}
        if time.monotonic() < until:
            try:
                found = images_per_second(case, sizes, folder)
            except (torch.cuda.OutOfMemoryError, FaceAnalysisError) as error:
                found = {"why_not": str(error).splitlines()[0]}
        rows.append(
            {
                "network": f"IResNet-{case.depth}",
                "batch": str(case.batch),
                "precision": sizes.precision,
                "compiled": str(case.compiled),
                "classes": str(case.classes),
                "sample_rate": str(case.rate),
                "images_from": case.source,
                "steps": str(sizes.steps),
                **found,
            }
        )
        gc.collect()  # the last case's loader and weights, before the next case forks and takes memory
        if sizes.device == "cuda":
            torch.cuda.empty_cache()
    return rows


def inference(sizes: Sizes, folder: Path) -> list[dict[str, str]]:
    """Passes of images that lie on the device, and `extract` over a packed file from its first to its last
    second."""
    rows, device = [], torch.device(sizes.device)
    for depth in sizes.depths:
        config = BackboneConfig("iresnet", depth, "ir", width=sizes.width)
        network = build_backbone(config).eval()
        for batch in sizes.batches:
            rate = passes_per_second(network, sizes, batch, device)
            rows.append(_row("network alone", depth, batch, sizes, rate))
        save_model(folder / "model.safetensors", network, recognition_card("benchmark", config))
        words = (
            f"extract -s {folder}/people.lmdb -m {folder}/model.safetensors --aligned -d {folder}/features"
        )
        more = f"--device {sizes.device} --precision {sizes.precision} -b {sizes.batches[-1]} --overwrite"
        begun = time.perf_counter()
        status = run([*words.split(), *more.split(), "-w", str(min(16, all_threads()))])
        assert status == 0
        rate = sizes.images / (time.perf_counter() - begun)
        rows.append(_row("extract, packed file", depth, sizes.batches[-1], sizes, rate))
    return rows


def passes_per_second(network: Any, sizes: Sizes, batch: int, device: torch.device) -> float:
    """Images a second of the network in the form that inference takes."""
    formed = for_inference(network, device, Form(sizes.precision))
    images = smooth_images(batch, torch.Generator().manual_seed(0)).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        for number in range(sizes.warm + sizes.steps):
            if number == sizes.warm:
                _wait(device)
                begun = time.perf_counter()
            formed(images)
        _wait(device)
    return batch * sizes.steps / (time.perf_counter() - begun)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _row(what: str, depth: int, batch: int, sizes: Sizes, rate: float) -> dict[str, str]:
    return {
        "what": what,
        "network": f"IResNet-{depth}",
        "batch": str(batch),
        "precision": sizes.precision,
        "images_per_second": f"{rate:.1f}",
    }


@contextmanager
def made_images(sizes: Sizes) -> Iterator[Path]:
    """A folder with a packed file of people and a small verification set, made of generated patterns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        distinct = min(DISTINCT, sizes.images)
        listed = write_patterns(folder, distinct, seed=0)
        names = [line.split()[0] for line in listed.read_text().splitlines()]
        people = min(PEOPLE, distinct // 2)
        lines = [f"{names[number % distinct]} {number % people}\n" for number in range(sizes.images)]
        (folder / "people.txt").write_text("".join(lines))
        pack(
            FolderSource(read_image_list(folder / "people.txt"), folder),
            folder / "people.lmdb",
            "recognition",
        )
        first, second = np.arange(0, 40, 2), np.arange(1, 41, 2)
        pairs = Pairs(first, second, np.arange(20) < 10, np.arange(20) % 5)
        blank = [(np.full((112, 112, 3), 6 * number, np.uint8), True) for number in range(41)]
        write_pair_set(folder / "sets" / "few", [f"{number}.jpg" for number in range(41)], pairs, blank)
        yield folder


def tested(report: Path) -> list[dict[str, str]]:
    """What pytest's report in JUnit's XML says of each test."""
    rows = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        outcome = next((part.tag for part in case if part.tag in ("failure", "error", "skipped")), "passed")
        rows.append(
            {"test": str(case.get("name")), "outcome": outcome, "seconds": str(case.get("time"))},
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--dry_run", action="store_true", help="tiny cases on the CPU, to see that all runs")
    parser.add_argument("--tests", type=Path, help="pytest's report of the tests for GPUs, as JUnit's XML")
    parser.add_argument("--output", type=Path, default=Path("results"))
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    sizes = DRY if given.dry_run else REAL
    card = "CPU (dry run)" if given.dry_run else torch.cuda.get_device_name()
    about = {"card": card, "torch": torch.__version__, "cuda": str(torch.version.cuda)}
    with made_images(sizes) as folder:
        parts = {
            "tests": tested(given.tests) if given.tests else [],
            "inference": inference(replace(sizes, steps=max(sizes.steps, 2)), folder),
            "training": training(sizes, folder, until),
        }
    for name, rows in parts.items():
        if rows:
            write_rows(given.output / f"gpu_{name}.csv", [{**about, **row} for row in rows])


if __name__ == "__main__":
    main()
