"""A training run from first to last."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import lightning as L
import torch

from face_analysis.datasets.attributes import Attribute
from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.label_groups import group_index
from face_analysis.datasets.samplers import ClassBatches, GlobalBatches
from face_analysis.files import FailureLog, write_text
from face_analysis.losses.classification import class_weights
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.pretrained import load_pretrained
from face_analysis.options import to_yaml
from face_analysis.training.attributes import AttributeTask
from face_analysis.training.checkpoints import Identity, read_checkpoint, resume_point
from face_analysis.training.data import BatchLoader, train_dataset, val_dataset
from face_analysis.training.hardware import Hardware, choose
from face_analysis.training.options import TrainOptions, checked
from face_analysis.training.run_folder import RunFolder, run_folder
from face_analysis.training.trainer import make_trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """What a run leaves: its folder, the best network, the data, and the record of unreadable images."""

    folder: RunFolder
    network: AttributeNetwork
    training: FaceDataset
    validation: FaceDataset
    failures: FailureLog
    options: TrainOptions


def train(options: TrainOptions) -> TrainedRun:
    """Train an attribute network; the best of it is in the run's network and in `checkpoints/best.ckpt`.

    Raises, before the first step, UsageError, MissingFileError, ListFormatError, EmptyDataError,
    PackedFileError or ModelMismatchError for what is wrong with the input, and later NonFiniteLossError,
    WriteError or InterruptedRunError for what stopped the run; its last checkpoint is kept.
    """
    attributes, backbone = checked(options)
    checkpoint = resume_point(options.resume, attributes, backbone) if options.resume else None
    training, validation = train_dataset(options, attributes), val_dataset(options, attributes)

    L.seed_everything(options.seed, verbose=False)
    network = AttributeNetwork(backbone, attributes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    if options.pretrained:
        heads = load_pretrained(network, options.pretrained)
        log.info(
            "started from %s: backbone%s", options.pretrained, "".join(f", {name} head" for name in heads)
        )

    folder = run_folder(options)
    write_text(folder.path / "config.yaml", to_yaml(options))
    hardware = choose(options.precision, options.multi_gpu)
    _say(options, training, validation, folder, hardware)
    failures = FailureLog(folder.errors, keep=checkpoint is not None)
    steps = -(-len(training) // options.batch_size)
    task = AttributeTask(network, _class_weights(training, options), options, training.source.name, steps)
    trainer = make_trainer(options, hardware, folder, len(training), failures, Identity(attributes, backbone))
    trainer.fit(
        task,
        _loader(training, options, trainer, shuffle=True),
        _loader(validation, options, trainer, shuffle=False),
        ckpt_path=checkpoint,
        weights_only=True,
    )
    trainer.save_checkpoint(folder.checkpoints / "last.ckpt")

    task.load_state_dict(read_checkpoint(folder.checkpoints / "best.ckpt")["state_dict"])
    return TrainedRun(folder, network.eval(), training, validation, failures, options)


def _class_weights(training: FaceDataset, options: TrainOptions) -> dict[Attribute, torch.Tensor]:
    return {
        name: class_weights(
            torch.from_numpy(training.counts(name)),
            0.0 if name == options.balance else options.class_weight_power,
        )
        for name in training.attributes
        if name != "age"
    }


def _loader(dataset: FaceDataset, options: TrainOptions, trainer: L.Trainer, *, shuffle: bool) -> BatchLoader:
    place = {"seed": options.seed, "rank": trainer.global_rank, "world": trainer.world_size}
    batches = GlobalBatches(len(dataset), options.batch_size, shuffle=shuffle, **place)
    if shuffle and options.balance is not None:
        labels = dataset.labels[:, dataset.attributes.index(options.balance)]
        batches = ClassBatches(group_index(options.balance, labels), options.batch_size, **place)
    return BatchLoader(dataset, batches, options.workers)


def _say(
    options: TrainOptions,
    training: FaceDataset,
    validation: FaceDataset,
    folder: RunFolder,
    hardware: Hardware,
) -> None:
    for what, data, given in (
        ("training", training, options.train_list),
        ("validation", validation, options.val_list),
    ):
        left_out = "".join(
            f", {count} without a known {name}" for name, count in data.left_out.items() if count
        )
        log.info("%s: %d images from %s%s", what, len(data), data.source.origin, left_out)
        if given and data.source.origin.suffix == ".lmdb":
            log.info("the %s list is not read: the LMDB holds its own labels", what)
    if options.balance is not None:
        log.info("balanced by %s: images without a known one are not drawn", options.balance)
    if options.head or options.margin is not None:
        log.warning("--head and --margin are for recognition; they change nothing here")
    log.info("training on %s; run folder %s", hardware.description, folder.path)
