"""Number formats and threads on this machine, in inference and in training, and what `auto` takes.

The ways are called in turn, so that what else the machine does meets all alike; medians are told.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.model_speed import machine, smooth_images, write_rows
from face_analysis.inference.form import FormChoice
from face_analysis.machine import Form, MachineOptions, all_threads
from face_analysis.memory import keep_freed_memory
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import Backbone
from face_analysis.models.precision import CPU_BATCH, for_inference
from face_analysis.models.sface import load_sface
from face_analysis.models.speed import MEMORY, cpu_name
from face_analysis.models.weights import load_attributes
from face_analysis.training.hardware import choose
from face_analysis.training.options import TrainOptions
from face_analysis.zoo.card import BackboneConfig
from face_analysis.zoo.find import find

CPU = torch.device("cpu")
FORMS = (Form(channels_last=False), Form(), Form("bf16-true"))
STEP = 8


@dataclass(frozen=True)
class Subject:
    """A network to run, and the settings of the like of it to train."""

    name: str
    network: Callable[[], Backbone]
    trained: BackboneConfig


def subjects() -> list[Subject]:
    attributes = load_attributes(find("attributes"))
    return [
        Subject("SFace", lambda: load_sface(find("sface")), BackboneConfig("mobilenet", embedding_size=128)),
        Subject("attributes", lambda: attributes.network.backbone, attributes.card.backbone),
        Subject("IR-SE-50", lambda: build_backbone(BackboneConfig()).eval(), BackboneConfig()),
    ]


def inference(subject: Subject, form: Form) -> Callable[[], object]:
    network = for_inference(subject.network(), CPU, form)
    images = smooth_images(CPU_BATCH, torch.Generator().manual_seed(1))

    @torch.inference_mode()
    def once() -> object:
        return network(images)

    return once


def training(subject: Subject, form: Form) -> Callable[[], object]:
    """Forward and backward of STEP images."""
    order = torch.channels_last if form.channels_last else torch.contiguous_format
    network = build_backbone(subject.trained).train()
    network.to(memory_format=order)  # type: ignore[call-overload]
    images = smooth_images(STEP, torch.Generator().manual_seed(1)).contiguous(memory_format=order)

    def once() -> None:
        network.zero_grad()
        mixed = form.precision != "32-true"
        with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
            output = network.raw(images)
        output.to(torch.float32).square().sum().backward()  # type: ignore[no-untyped-call]

    return once


def chosen(subject: Subject, what: str, threads: int) -> Form:
    """What `auto` takes on so many threads; 0: of its own choice."""
    if what == "inference":
        choice = FormChoice(MachineOptions(threads=threads), CPU_BATCH)
        return choice.form([subject.network()], subject.name)
    config = subject.trained
    options = TrainOptions(
        attribute=("recognition",),
        threads=threads,
        batch_size=STEP,
        workers=0,  # the steps are timed without loading beside them
        backbone=config.name,
        depth=config.depth,
        net_mode=config.mode,  # type: ignore[arg-type]
        width=config.width,
        embedding_size=config.embedding_size,
    )
    form = choose(options, None).form
    return replace(form, precision="bf16-true" if form.precision == "bf16-mixed" else form.precision)


def rates(subject: Subject, what: str, rounds: int) -> dict[Form, float]:
    """Images a second in each form, on one thread and on all."""
    prepare, count = (inference, CPU_BATCH) if what == "inference" else (training, STEP)
    forms = [replace(form, threads=count) for count in sorted({1, all_threads()}) for form in FORMS]
    ways = {form: prepare(subject, form) for form in forms}
    seconds: dict[Form, list[float]] = {form: [] for form in ways}
    for number in range(rounds + 1):
        for form, once in ways.items():
            torch.set_num_threads(form.threads)
            start = time.perf_counter()
            once()
            if number:
                seconds[form].append(time.perf_counter() - start)
    return {form: count / statistics.median(taken) for form, taken in seconds.items()}


def rows(subject: Subject, what: str, rounds: int) -> list[dict[str, str]]:
    found = rates(subject, what, rounds)
    best: dict[int, float] = {}
    for form, rate in found.items():
        best[form.threads] = max(rate, best.get(form.threads, 0.0))
    written = []
    for asked in sorted({1, all_threads(), 0}, key=lambda count: count or 99):
        taken = chosen(subject, what, asked)
        compared = best[asked] if asked else max(best.values())
        for form, rate in found.items():
            if form == taken or form.threads == asked:
                written.append(
                    {
                        "network": subject.name,
                        "what": what,
                        "threads_asked": str(asked or "auto"),
                        "form": form.text,
                        "images_per_second": f"{rate:.1f}",
                        "taken_by_auto": "yes" if form == taken else "",
                        "of_the_best": f"{rate / compared:.3f}",
                    }
                )
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("results/precision.csv"))
    given = parser.parse_args()
    os.environ[MEMORY] = "0"
    keep_freed_memory()
    facts = {"rounds": str(given.rounds), "cpu_name": cpu_name(), **machine()}
    written = []
    for subject in subjects():
        for what in ("inference", "training"):
            written += [{**row, **facts} for row in rows(subject, what, given.rounds)]
    write_rows(given.output, written)


if __name__ == "__main__":
    main()
