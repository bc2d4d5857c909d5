"""Options of a training that fit together, or an error that names the wrong one."""

from __future__ import annotations

from face_analysis.datasets.attributes import ATTRIBUTES, LABEL_COUNT, OUTPUTS, Attribute
from face_analysis.errors import UsageError
from face_analysis.machine import check_machine
from face_analysis.models.age_heads import AGE_HEADS, losses_of
from face_analysis.options import check_ranges
from face_analysis.training.options import TrainOptions
from face_analysis.zoo.card import RECOGNITION


def check(options: TrainOptions) -> None:
    """Raises UsageError, naming the option, for one that is out of range or does not go with another."""
    check_ranges(options)
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
    if options.loss_weights and not any(options.loss_weights):
        raise UsageError("--loss_weights: give numbers of which not all are 0")
    if (options.age_loss != "ordinal" or options.age_task_weights) and "age" not in attributes:
        raise UsageError(f"--age_loss and --age_task_weights: this run trains {', '.join(attributes)} only")
    if options.age_task_weights and AGE_HEADS[options.age_loss].gives != "tasks":
        raise UsageError(
            f"--age_task_weights with --age_loss {options.age_loss}: only {losses_of('tasks')} have tasks"
        )
    if options.balance is not None and options.balance not in attributes:
        raise UsageError(f"--balance {options.balance}: this run trains {', '.join(attributes)} only")
    # The original counted outputs, or the label values of age.
    counts = {count for name in attributes for count in (OUTPUTS[name], LABEL_COUNT[name])}
    if options.num_classes is not None and options.num_classes not in counts:
        raise UsageError(
            f"--num_classes {options.num_classes}: {', '.join(attributes)} does not have so many"
        )


def _check_recognition(options: TrainOptions) -> None:
    if len(options.attribute) > 1:
        raise UsageError(f"--attribute {' '.join(options.attribute)}: give {RECOGNITION} alone")
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
