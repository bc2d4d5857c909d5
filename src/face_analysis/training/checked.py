"""Options of a training that fit together, or an error that names the wrong one."""

from __future__ import annotations

import math
import sys

from face_analysis.datasets.attributes import ATTRIBUTES, LABEL_COUNT, OUTPUTS, Attribute
from face_analysis.errors import UsageError
from face_analysis.losses.age import AGE_LOSSES
from face_analysis.machine import check_machine
from face_analysis.training.options import TrainOptions
from face_analysis.zoo.card import RECOGNITION

SMALLEST = sys.float_info.min
"""The least value of an option that must be over 0."""
LARGEST = sys.float_info.max
"""The largest value of an option that must be finite."""
LIMITS: dict[str, tuple[float, float]] = {
    "epochs": (1, math.inf),
    "batch_size": (2, math.inf),
    "accumulate": (0, math.inf),
    "lr": (SMALLEST, LARGEST),
    "head_lr": (SMALLEST, LARGEST),
    "momentum": (0, 0.999999),
    "weight_decay": (0, LARGEST),
    "width": (SMALLEST, LARGEST),
    "embedding_size": (1, math.inf),
    "seed": (0, 2**32 - 1),
    "scale": (SMALLEST, LARGEST),
    "margin": (0, LARGEST),
    "lr_batch": (0, math.inf),
    "validations": (1, math.inf),
    "save_every": (0, math.inf),
    "workers": (0, math.inf),
    "devices": (1, math.inf),
    "clip": (0, math.inf),
    "layer_decay": (0.001, 1),
    "jitter": (0, 1),
    "degrade": (0, 1),
    "mixup": (0, math.inf),
    "freeze": (-1, math.inf),
    "ema": (0, 0.999999),
    "class_weight_power": (0, 1),
    "label_smoothing": (0, 0.999999),
    "dropout": (0, 0.999999),
    "margin_warmup": (0, math.inf),
    "subcentres": (1, math.inf),
    "images_per_person": (0, math.inf),
}


def check(options: TrainOptions) -> None:
    """Raises UsageError, naming the option, for one that is out of range or does not go with another."""
    for name, (low, high) in LIMITS.items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            least = "over 0" if low == SMALLEST else f"at least {low:g}"
            most = f" and at most {high:.6g}" if high < LARGEST else " and finite" if high == LARGEST else ""
            raise UsageError(f"--{name} {value}: must be {least}{most}")
    check_machine(options)
    if options.align and options.use_mask:
        raise UsageError("--align and --use_mask: stored masks fit the images as they are, not aligned ones")
    if options.lr_cosine and options.lr_plateau:
        raise UsageError("--lr_cosine and --lr_plateau: give one")
    if options.compile and options.checkpointing:
        raise UsageError("--compile and --checkpointing: give one, what is computed again is not compiled")
    if options.accumulate and options.batch_size % options.accumulate:
        raise UsageError(
            f"--accumulate {options.accumulate}: does not divide --batch_size {options.batch_size}"
        )
    if options.accumulate > 1 and options.batch_size < 2 * options.accumulate:
        raise UsageError(
            f"--accumulate {options.accumulate} of --batch_size {options.batch_size}: parts of one image, "
            "from which no batch norm can learn; give a smaller --accumulate"
        )
    if options.recognition:
        _check_recognition(options)
    else:
        _check_attributes(options)


def attributes_of(options: TrainOptions) -> tuple[Attribute, ...]:
    """The attributes to train, in their usual order. Raises UsageError for names that are none, or twice."""
    wrong = [name for name in options.attribute if name not in ATTRIBUTES]
    if wrong or len(set(options.attribute)) < len(options.attribute):
        raise UsageError(
            f"--attribute {' '.join(options.attribute)}: give race, gender, age, each at most once"
        )
    return tuple(name for name in ATTRIBUTES if name in options.attribute)


def _check_attributes(options: TrainOptions) -> None:
    attributes = attributes_of(options)
    if len(options.loss_weights) not in (0, len(attributes)):
        raise UsageError(f"--loss_weights takes one number for each of {', '.join(attributes)}")
    if options.loss_weights and not (min(options.loss_weights) >= 0 < sum(options.loss_weights) < math.inf):
        raise UsageError("--loss_weights: give numbers from 0, not all of them 0")
    if (options.age_loss != "ordinal" or options.age_task_weights) and "age" not in attributes:
        raise UsageError(f"--age_loss and --age_task_weights: this run trains {', '.join(attributes)} only")
    if options.age_task_weights and not AGE_LOSSES[options.age_loss].weighted:
        names = ", ".join(name for name, loss in AGE_LOSSES.items() if loss.weighted)
        raise UsageError(f"--age_task_weights with --age_loss {options.age_loss}: only {names} have tasks")
    if options.balance is not None and options.balance not in attributes:
        raise UsageError(f"--balance {options.balance}: this run trains {', '.join(attributes)} only")
    if options.num_classes is not None and options.num_classes not in _class_counts(attributes):
        raise UsageError(
            f"--num_classes {options.num_classes}: {', '.join(attributes)} does not have so many"
        )


def _class_counts(attributes: tuple[Attribute, ...]) -> set[int]:
    """What the original counts as classes: outputs, or for age the label values too."""
    return {count for name in attributes for count in (OUTPUTS[name], LABEL_COUNT[name])}


def _check_recognition(options: TrainOptions) -> None:
    if len(options.attribute) > 1:
        raise UsageError(f"--attribute {' '.join(options.attribute)}: give {RECOGNITION} alone")
    if not 0 < options.sample_rate <= 1:
        raise UsageError(f"--sample_rate {options.sample_rate}: must be over 0 and at most 1")
    if options.head == "adacos" and (options.scale is not None or options.sample_rate < 1):
        raise UsageError("--head adacos finds its scale over all classes: no --scale, and --sample_rate 1")
    if options.images_per_person and options.batch_size % options.images_per_person:
        raise UsageError(
            f"--images_per_person {options.images_per_person}: does not divide --batch_size "
            f"{options.batch_size}"
        )
    if options.precision == "bf16-true":
        raise UsageError(
            "--precision bf16-true: recognition trains in 32-true, bf16-mixed or 16-mixed; its margins need "
            "float32"
        )
    if options.balance or options.label_smoothing or options.loss_weights or options.mixup:
        raise UsageError("--balance, --label_smoothing, --loss_weights and --mixup are for attributes")
