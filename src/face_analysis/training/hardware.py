"""Which devices train, on how many threads, and in which number format."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from face_analysis.distributed import broadcast_from_rank0, rank, world_size
from face_analysis.errors import UsageError
from face_analysis.inference.loading import BackgroundLoading, loading, thread_counts, threads_kept
from face_analysis.machine import Form, Precision, all_threads, device_of
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import Backbone
from face_analysis.models.speed import architecture, images_per_second, measured, remembered
from face_analysis.training.backbone import require_compiler
from face_analysis.training.data import chip_maker
from face_analysis.training.options import TrainOptions

log = logging.getLogger(__name__)
LEAST, MOST = 2, 16
"""Images of a step that a form is measured with."""
SECONDS = 3.0


@dataclass(frozen=True)
class Hardware:
    """Settings for Fabric, and a line that says them: devices of this machine, of so many machines."""

    accelerator: str
    devices: int | list[int]
    machines: int
    form: Form
    description: str


def choose(options: TrainOptions, begun: Form | None) -> Hardware:
    """A GPU where there is one, for each process; threads and number format.

    Unless an option says otherwise a resumed run keeps what it was `begun` in; a new one has what is measured
    fastest. Raises UsageError where `--compile` cannot work, and for one GPU of several processes.
    """
    device = device_of(options.device)
    cuda = device.type == "cuda"
    if options.compile:
        require_compiler(device.type)
    form, why = broadcast_from_rank0(_form(options, begun, device) if rank() == 0 else (Form(), ""))
    torch.set_num_threads(form.threads)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1
    if world_size() > 1 and ":" in options.device:
        raise UsageError(f"--device {options.device} is one GPU, and this run has several processes")
    name = torch.cuda.get_device_name(device) if cuda else f"CPU, {form.threads} threads"
    description = f"{world_size()} x {name}, precision {form.precision} ({why})"
    devices: int | list[int] = [device.index] if cuda and world_size() == 1 else local
    return Hardware("gpu" if cuda else "cpu", devices, world_size() // local, form, description)


def _form(options: TrainOptions, begun: Form | None, device: torch.device) -> tuple[Form, str]:
    counts = thread_counts(options)
    if begun is not None and (device.type == "cuda" or begun.precision != "16-mixed"):
        threads = counts[0] if options.threads else min(begun.threads, all_threads())
        if options.precision in ("auto", begun.precision):
            return Form(begun.precision, threads), "as the run began"
        return Form(options.precision, threads), "as given"
    with threads_kept():
        found = measured(
            [Form(precision) for precision in _formats(options, device)],
            counts,
            lambda forms: _rates(options, device, forms, time.perf_counter, background=True),
            lambda forms, clock: _rates(options, device, forms, clock),
        )
    return found.best, found.text or "as given"


def _formats(options: TrainOptions, device: torch.device) -> list[Precision]:
    if options.precision != "auto":
        return [options.precision]
    formats: list[Precision] = ["32-true", "bf16-mixed"]
    return [*formats, "16-mixed"] if device.type == "cuda" else formats


def _rates(
    options: TrainOptions,
    device: torch.device,
    forms: list[Form],
    clock: Callable[[], float],
    *,
    background: bool = False,
) -> dict[Form, float]:
    """Images a second that the backbone learns from in each form, loading in the background or not."""
    work = loading(chip_maker(options), options.workers) if background else None
    by_text = {form.text: form for form in forms}
    if device.type == "cuda":
        clock = time.perf_counter  # a GPU computes while the thread waits
    backbone = build_backbone(options.backbone_config)
    what = {
        "what": "training",
        "networks": architecture([backbone]),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "batch": options.batch_size,
        "forms": list(by_text),
        "beside": None if work is None else [work.name, work.workers],
    }
    backbone.train().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def measure() -> dict[str, float]:
        ways = {text: _way(backbone, form, device, work) for text, form in by_text.items()}
        return images_per_second(ways, max(LEAST, min(MOST, options.batch_size)), LEAST, SECONDS, clock)

    found = remembered(what, measure)
    return {form: found[text] for text, form in by_text.items() if text in found}


def _way(
    backbone: Backbone, form: Form, device: torch.device, background: BackgroundLoading | None
) -> Callable[[int], object]:
    """Forward and backward of so many images."""

    def run(count: int) -> None:
        torch.set_num_threads(form.threads)
        training_pass(backbone, form.precision, count, device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run if background is None else lambda count: background.run(count, lambda: run(count))


def training_pass(backbone: Backbone, precision: Precision, count: int, device: torch.device) -> None:
    """Take `count` made images forward and backward through a backbone; its gradients are set anew."""
    dtype = {"64-true": torch.float64, "bf16-true": torch.bfloat16}.get(precision, torch.float32)
    images = torch.rand(count, 3, 112, 112, dtype=dtype, device=device) * 2 - 1
    mixed = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    backbone.zero_grad()
    with torch.autocast(device.type, mixed, enabled=mixed is not None):
        output = backbone.raw(images.contiguous(memory_format=torch.channels_last))
    output.to(torch.float32).square().sum().backward()  # type: ignore[no-untyped-call]
