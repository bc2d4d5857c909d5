"""Every option of `face-analysis train`; the original's names, short forms and defaults where it had them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from face_analysis.datasets.attributes import ATTRIBUTES, LABEL_COUNT, OUTPUTS, Attribute
from face_analysis.errors import UsageError
from face_analysis.options import Opt
from face_analysis.zoo.card import BackboneConfig, BackboneName

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true"]


@dataclass(frozen=True)
class TrainOptions:
    """What a training run is told. Paths are relative to the working folder."""

    attribute: Annotated[
        tuple[str, ...], Opt("race, gender or age; several train one network with a head for each", "-a")
    ]
    train_source: Annotated[Path | None, Opt("folder of the training images, or an LMDB", "-ts")] = None
    train_list: Annotated[Path | None, Opt("list of the training images", "-t")] = None
    val_source: Annotated[Path | None, Opt("folder of the validation images, or an LMDB", "-vs")] = None
    val_list: Annotated[tuple[str, ...], Opt("list of the validation images", "-v")] = ()
    output: Annotated[Path | None, Opt("run folder (default: runs/<prefix>_<time>)", "-o")] = None
    prefix: Annotated[str | None, Opt("name of the run (default: the attributes)", "-p")] = None

    backbone: Annotated[BackboneName, Opt("network under the heads")] = "iresnet"
    depth: Annotated[int, Opt("iresnet: 18, 34, 50, 100 or 152", "-d")] = 50
    net_mode: Annotated[Literal["ir", "ir_se"], Opt("iresnet: units without or with SE", "-n")] = "ir_se"
    width: Annotated[float, Opt("factor on the channels of the backbone")] = 1.0
    dropout: Annotated[float, Opt("dropout before the embedding")] = 0.4

    epochs: Annotated[int, Opt("passes over the training images", "-e")] = 30
    batch_size: Annotated[int, Opt("images a step, over all devices together", "-b")] = 384
    lr: Annotated[float, Opt("learning rate of the first epoch", "-lr")] = 0.001
    lr_steps: Annotated[tuple[int, ...], Opt("epochs that start with a tenth of the learning rate")] = (
        9,
        12,
        14,
    )
    lr_cosine: Annotated[
        bool, Opt("raise the learning rate over the first half epoch, then lower it along a cosine to 0")
    ] = False
    lr_plateau: Annotated[bool, Opt("lower the learning rate on a plateau, not by epoch", "-lrp")] = False
    early_stop: Annotated[bool, Opt("stop after 5 validations without gain", "-es")] = False
    momentum: Annotated[float, Opt("momentum of SGD")] = 0.9
    weight_decay: Annotated[float, Opt("on all but the backbone's batch-norm parameters")] = 5e-4
    freeze: Annotated[
        int, Opt("with -1 the whole backbone learns; with N >= 0 its stem and first N units stay as they are")
    ] = -1
    ema: Annotated[
        float, Opt("decay a step of a running average of the weights, which is what is kept; 0: none")
    ] = 0.0
    head_lr: Annotated[
        float, Opt("factor on the learning rate of the heads; their decay is divided by it")
    ] = 1.0
    class_weight_power: Annotated[
        float, Opt("class weight = (largest count / count) to this power; 0: no class weights")
    ] = 1.0
    label_smoothing: Annotated[
        float, Opt("share of a race or gender label that is spread over all classes")
    ] = 0.0
    balance: Annotated[
        Attribute | None,
        Opt("draw every class of this attribute (age: decade) equally often; its class weights become 1"),
    ] = None
    loss_weights: Annotated[
        tuple[float, ...],
        Opt("factor on each attribute's loss, in their order (default: 1, and 0.1 for age beside others)"),
    ] = ()
    align: Annotated[
        bool, Opt("the images are photos: find the face nearest the middle of each, and align it")
    ] = False
    jitter: Annotated[
        float, Opt("0 to 1: random shift, scale, rotation, brightness, contrast; 0: flips alone")
    ] = 0.0
    degrade: Annotated[
        float, Opt("0 to 1: share of images made blurred, coarse in JPEG, off in colour, partly covered")
    ] = 0.0
    validations: Annotated[int, Opt("validations an epoch")] = 5

    precision: Annotated[Precision, Opt("number format (auto: bf16 where it is fast)")] = "auto"
    multi_gpu: Annotated[bool, Opt("use every GPU of the machine", "-m")] = False
    workers: Annotated[int, Opt("processes that load images", "-w")] = 4
    model_licence: Annotated[str, Opt("licence of the data and so of the weights, for the model card")] = (
        "not stated"
    )
    seed: Annotated[int, Opt("seed of weights, image order, flips and dropout")] = 0

    pretrained: Annotated[Path | None, Opt("weights to start from (heads where they fit)", "-pt")] = None
    resume: Annotated[Path | None, Opt("run folder, or checkpoint, to take up again", "-r")] = None
    num_classes: Annotated[int | None, Opt("number of classes; checked against the attribute", "-nc")] = None
    use_mask: Annotated[bool, Opt("black out what the masks in the LMDB exclude", "-us")] = False
    head: Annotated[str | None, Opt("margin head; for recognition only", "-hd")] = None
    margin: Annotated[float | None, Opt("margin of the head; for recognition only", "-margin")] = None


def checked(options: TrainOptions) -> tuple[tuple[Attribute, ...], BackboneConfig]:
    """The attributes and the backbone that the options ask for. Raises UsageError naming the wrong one."""
    if "recognition" in options.attribute:
        raise UsageError("--attribute recognition: this version trains race, gender and age only")
    wrong = [name for name in options.attribute if name not in ATTRIBUTES]
    if wrong or len(set(options.attribute)) < len(options.attribute):
        raise UsageError(
            f"--attribute {' '.join(options.attribute)}: give race, gender, age, each at most once"
        )
    attributes = tuple(name for name in ATTRIBUTES if name in options.attribute)
    if len(options.loss_weights) not in (0, len(attributes)):
        raise UsageError(f"--loss_weights takes one number for each of {', '.join(attributes)}")
    if options.balance is not None and options.balance not in attributes:
        raise UsageError(f"--balance {options.balance}: this run trains {', '.join(attributes)} only")
    if options.num_classes is not None and options.num_classes not in _class_counts(attributes):
        raise UsageError(
            f"--num_classes {options.num_classes}: {', '.join(attributes)} does not have so many"
        )
    _check_ranges(options)
    if options.align and options.use_mask:
        raise UsageError("--align and --use_mask: stored masks fit the images as they are, not aligned ones")
    if options.lr_cosine and options.lr_plateau:
        raise UsageError("--lr_cosine and --lr_plateau: give one")
    backbone = BackboneConfig(
        options.backbone, options.depth, options.net_mode, options.width, options.dropout
    )
    return attributes, backbone


def _class_counts(attributes: tuple[Attribute, ...]) -> set[int]:
    """What the original counts as classes: outputs, or for age the label values too."""
    return {count for name in attributes for count in (OUTPUTS[name], LABEL_COUNT[name])}


def _check_ranges(options: TrainOptions) -> None:
    limits: dict[str, tuple[float, float]] = {
        "epochs": (1, math.inf),
        "batch_size": (2, math.inf),
        "lr": (0, math.inf),
        "validations": (1, math.inf),
        "workers": (0, math.inf),
        "jitter": (0, 1),
        "degrade": (0, 1),
        "freeze": (-1, math.inf),
        "ema": (0, 0.999999),
        "class_weight_power": (0, 1),
        "label_smoothing": (0, 1),
        "dropout": (0, 1),
    }
    for name, (low, high) in limits.items():
        value = getattr(options, name)
        if not low <= value <= high:
            raise UsageError(
                f"--{name} {value}: must be at least {low:g}" + (f" and at most {high:g}" * (high < math.inf))
            )
