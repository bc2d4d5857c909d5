"""Whether a training fits into memory, and in how many parts its steps then go through the network."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from face_analysis.distributed import all_reduce, world_size
from face_analysis.errors import UsageError
from face_analysis.machine import device_of
from face_analysis.memory import GIB, free_memory, held_memory
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.models.precision import backbone_of
from face_analysis.training.backbone import freeze_first_units
from face_analysis.training.options import TrainOptions
from face_analysis.training.pass_memory import FEW, MORE, pass_memory
from face_analysis.training.tasks.partial_fc import head_memory

log = logging.getLogger(__name__)
PIXELS = 3 * 112 * 112
SLACK = 1.25
"""What a process holds against what its tensors take: gaps between freed blocks, and what operations take
for themselves, as measured on CPUs (results/train_memory.csv)."""
RESERVE = 0.9
"""The fraction of the free memory that a run may be estimated to take: others share the machine."""
WORKER = 200 * 2**20
"""What a process that loads images holds for itself, beside the pages it shares."""
AHEAD, COPIES = 5, 4
"""Batches of bytes that wait for the network, for each process that loads images; float32 copies of the one
it has, before and after augmentation."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a process of a run takes, beside the weights it has already.

    `state`: gradients, momenta, and the copies that averages and checkpoints are; `classes`: the class
    weights of recognition with theirs; `loading`: the processes that load images. `an_image` and `fixed` are
    of a pass.
    """

    held: int
    state: int
    classes: int
    loading: int
    fixed: int
    an_image: int

    def more(self, images: int) -> int:
        """What is taken beside what is held when so many images go through the network at once."""
        return self.state + self.classes + self.loading + self.fixed + images * self.an_image

    def total(self, images: int) -> int:
        """All of it."""
        return self.held + self.more(images)

    def text(self, images: int) -> str:
        """The parts in words."""
        parts = {
            "held already": self.held,
            "gradients, momenta and copies": self.state,
            "classes": self.classes,
            "loading": self.loading,
            f"{images} images in the network": self.fixed + images * self.an_image,
        }
        return ", ".join(f"{what} {size / GIB:.2f}" for what, size in parts.items() if size)


def fit_to_memory(
    options: TrainOptions, network: AttributeNetwork | Backbone, classes: int = 0
) -> TrainOptions:
    """The options with the fewest parts of a step (`accumulate`) that fit into the memory that is free.

    The number format has to be chosen already; `classes` are those of recognition. Raises UsageError where
    nothing fits, or not the number of parts that was asked for.
    """
    free = free_of_process(device_of_process(options))
    estimate = estimate_memory(options, network, classes)
    possible = list(_parts(options))
    fits = [parts for parts in possible if estimate.more(_images(options, parts)) <= RESERVE * free]
    asked = options.accumulate
    if not fits or (asked and asked not in fits):
        raise UsageError(_too_large(options, estimate, free, asked or possible[-1], fits))
    parts = asked or fits[0]
    images = _images(options, parts)
    about = (estimate.total(images) / GIB, free / GIB, estimate.text(images))
    log.info("memory: about %.2f GiB of a process, %.2f GiB are free (GiB: %s)", *about)
    if parts > 1 and not asked:
        log.warning(
            "the %d images of a step go through the network in %d parts, as all at once take about %.1f GiB; "
            "batch norm sees %d images at a time",
            options.batch_size,
            parts,
            estimate.total(_images(options, 1)) / GIB,
            options.batch_size // (parts * (1 if options.sync_batchnorm else world_size())),
        )
    return replace(options, accumulate=parts)


def estimate_memory(
    options: TrainOptions, network: AttributeNetwork | Backbone, classes: int = 0
) -> MemoryEstimate:
    """What a run takes, by the size of its network and two passes of a few images through a copy."""
    device = device_of_process(options)
    held = torch.cuda.memory_allocated(device) if device.type == "cuda" else held_memory()
    few, more = pass_memory(options, device)
    an_image = int(SLACK * (more - few) / (MORE - FEW))
    waiting = AHEAD * options.workers * PIXELS if device.type == "cpu" else 0
    logits, class_weights = _classes(options, classes)
    return MemoryEstimate(
        held=held,
        state=_state(options, network, device),
        classes=class_weights,
        loading=2 * options.workers * WORKER if device.type == "cpu" else 0,
        fixed=max(0, int(few - FEW * an_image / SLACK)),
        an_image=an_image + COPIES * 4 * PIXELS + waiting + logits,
    )


def _state(options: TrainOptions, network: AttributeNetwork | Backbone, device: torch.device) -> int:
    """Gradients, what the optimiser keeps, an average, and on the CPU the copies that checkpoints are."""
    freeze_first_units(backbone_of(network), options.freeze)
    weights = _bytes(network.parameters())
    learning = _bytes(weight for weight in network.parameters() if weight.requires_grad)
    kept = (2 if options.optimizer == "adamw" else 1) * learning
    average = weights if options.ema else 0
    copies = weights + kept + average if device.type == "cpu" else 0
    return learning + kept + average + copies


def _bytes(tensors: Iterator[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _classes(options: TrainOptions, classes: int) -> tuple[int, int]:
    """Bytes of recognition: the logits of an image, and class weights with momenta, gradient and copies."""
    size, images = options.embedding_size, options.batch_size
    head = head_memory(classes, size, images, options.sample_rate, options.subcentres)
    # Weights and momenta, gathered and then copied to be written.
    copies = 4 * classes * options.subcentres * size * 4
    return head.logits // images, head.weights + head.gradient + copies


def _parts(options: TrainOptions) -> Iterator[int]:
    """Numbers of parts of a step, each of at least two images in every process, from few to many."""
    for parts in range(1, max(1, options.batch_size // (2 * world_size())) + 1):
        size, left = divmod(options.batch_size, parts)
        if left == 0 and size % max(1, options.images_per_person) == 0:
            yield parts


def _images(options: TrainOptions, parts: int) -> int:
    """Images that go through the network of a process at once."""
    return -(-options.batch_size // (parts * world_size()))


def device_of_process(options: TrainOptions) -> torch.device:
    """The device that this process trains on: of several on one machine each has set its own GPU."""
    device = device_of(options.device)
    if device.type == "cuda" and world_size() > 1:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def free_of_process(device: torch.device) -> int:
    """Free bytes of the device for each process on this machine; the least of all processes."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = free_memory() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return int(all_reduce(torch.tensor(free), torch.distributed.ReduceOp.MIN))


def _too_large(
    options: TrainOptions, estimate: MemoryEstimate, free: int, parts: int, fits: list[int]
) -> str:
    images = _images(options, parts)
    text = (
        f"training takes about {estimate.more(images) / GIB:.2f} GiB more than this process holds, with "
        f"{images} images in the network at once, and {free / GIB:.2f} GiB are free, of which it may take "
        f"{RESERVE:.0%} (GiB: {estimate.text(images)}); "
    )
    if fits:
        return f"{text}give --accumulate {fits[0]}, or leave it out"
    smaller = "a smaller --sample_rate or --embedding_size" if options.recognition else "fewer --workers"
    return f"{text}give a smaller --width or --depth, {smaller}, or --checkpointing"
