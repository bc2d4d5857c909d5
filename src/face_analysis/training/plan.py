"""What a run trains, on which images: for attributes or for recognition."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning_fabric import seed_everything

from face_analysis.datasets.attributes import Attribute
from face_analysis.datasets.faces import FaceDataset
from face_analysis.losses.cross_entropy import frequency_weights
from face_analysis.losses.ordinal import task_weights
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import Backbone
from face_analysis.models.pretrained import load_pretrained, load_pretrained_backbone
from face_analysis.training.checked import attributes_of
from face_analysis.training.data import (
    BatchLoader,
    PairImages,
    people_dataset,
    train_dataset,
    train_loader,
    val_dataset,
)
from face_analysis.training.fitting import fit_to_memory
from face_analysis.training.labels import judge_labels
from face_analysis.training.options import TrainOptions
from face_analysis.training.recognition_data import class_count, number_people, val_sets
from face_analysis.training.tasks.attributes import AttributeTask
from face_analysis.training.tasks.recognition import RecognitionTask
from face_analysis.training.tasks.task import Task
from face_analysis.types import ImageFailure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """The task, the batches it learns from and what it is validated on, one data set or several.

    `options` are those it was given, with the parts of a step that fit; `identity` is what a checkpoint must
    say to be taken up by this run; `people` are those that recognition tells apart, in the order of their
    classes; `failures` are the images of verification sets that cannot be read.
    """

    task: Task
    training: FaceDataset
    batches: BatchLoader
    validation: tuple[FaceDataset | PairImages, ...]
    identity: dict[str, Any]
    options: TrainOptions
    people: tuple[str, ...] = ()
    failures: tuple[ImageFailure, ...] = ()


def plan_of(options: TrainOptions) -> Plan:
    """Open the images and draw the network. Raises what `train` raises before the first step."""
    plan = _recognition(options) if options.recognition else _attributes(options)
    if options.precision == "64-true":
        plan.task.double()  # before a checkpoint is loaded or an average made: float32 would round them
    return plan


def new_network(options: TrainOptions) -> AttributeNetwork | Backbone:
    """A fresh network of the run, in channels-last memory."""
    network: AttributeNetwork | Backbone
    if options.recognition:
        network = build_backbone(options.backbone_config)
    else:
        network = AttributeNetwork(options.backbone_config, attributes_of(options), options.age_loss)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _attributes(options: TrainOptions) -> Plan:
    attributes = attributes_of(options)
    training, validation = train_dataset(options, attributes), val_dataset(options, attributes)
    judge_labels(training, validation, attributes)
    seed_everything(options.seed, verbose=False)
    network = new_network(options)
    assert isinstance(network, AttributeNetwork)
    if options.pretrained:
        heads = load_pretrained(network, options.pretrained)
        log.info(
            "started from %s: backbone%s", options.pretrained, "".join(f", {name} head" for name in heads)
        )
    for what, data in (("training", training), ("validation", validation)):
        log.info("%s: %s", what, _described(data))
    if options.balance is not None:
        log.info("balanced by %s: images without a known one are not drawn", options.balance)
    if options.margin is not None or options.scale is not None:
        log.warning("--margin and --scale are for recognition; they change nothing here")
    options = fit_to_memory(options, network)
    batches = train_loader(training, options)
    task = AttributeTask(
        network,
        _class_weights(training, options),
        options,
        training.source.name,
        _steps(batches, options),
        task_weights(torch.from_numpy(training.counts("age"))) if options.age_task_weights else None,
    )
    identity = _identity(options, attributes=list(attributes), age_loss=options.age_loss)
    return Plan(task, training, batches, (validation,), identity, options)


def _recognition(options: TrainOptions) -> Plan:
    training, sets = people_dataset(options), val_sets(options)
    people = number_people(training)
    classes = class_count(len(people), options)
    seed_everything(options.seed, verbose=False)
    network = new_network(options)
    assert isinstance(network, Backbone)
    if options.pretrained:
        load_pretrained_backbone(network, options.pretrained)
        log.info("started from %s: backbone", options.pretrained)
    log.info("training: %s, %d people", _described(training), len(people))
    options = fit_to_memory(options, network, classes)
    batches = train_loader(training, options)
    steps = _steps(batches, options)
    task = RecognitionTask(network, people, classes, sets, options, training.source.name, steps)
    identity = _identity(
        options, attributes=["recognition"], head=options.head, subcentres=options.subcentres, classes=classes
    )
    failures = tuple(failure for pair_set in sets for failure in pair_set.failures)
    return Plan(task, training, batches, tuple(map(PairImages, sets)), identity, options, people, failures)


def _class_weights(training: FaceDataset, options: TrainOptions) -> dict[Attribute, torch.Tensor]:
    names: tuple[Attribute, ...] = ("race", "gender")
    return {
        name: frequency_weights(
            torch.from_numpy(training.counts(name)),
            0.0 if name == options.balance else options.class_weight_power,
        )
        for name in names
        if name in training.columns
    }


def steps_per_validation(epoch_steps: int, options: TrainOptions) -> int:
    """After how many steps the next validation comes."""
    return max(1, epoch_steps // options.validations)


def _steps(batches: BatchLoader, options: TrainOptions) -> int:
    """How many steps an epoch has, logged with what a small set changes."""
    steps, images = -(-len(batches) // options.accumulate), batches.batches.total
    if images < options.batch_size:
        log.warning(
            "--batch_size %d: there are only %d images, so an epoch is one step", options.batch_size, images
        )
    log.info(
        "an epoch has %d steps, with a validation after every %d", steps, steps_per_validation(steps, options)
    )
    return steps


def _identity(options: TrainOptions, **of_the_task: Any) -> dict[str, Any]:
    settings = {
        "optimizer": options.optimizer,
        "layer_decay": options.layer_decay,
        "freeze": options.freeze,
        "ema": bool(options.ema),
        "schedule": "plateau" if options.lr_plateau else "cosine" if options.lr_cosine else "steps",
    }
    return {**of_the_task, "backbone": asdict(options.backbone_config), **settings}


def _described(data: FaceDataset) -> str:
    left_out = "".join(f", {count} without a known {name}" for name, count in data.left_out.items() if count)
    return f"{len(data)} images from {data.source.origin}{left_out}"
