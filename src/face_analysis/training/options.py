"""Every option of `face-analysis train`; the original's names, short forms and defaults where it had them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from face_analysis.datasets.attributes import Attribute
from face_analysis.machine import MachineOptions
from face_analysis.models.age_heads import losses_of
from face_analysis.options import Opt, Range
from face_analysis.outputs import Overwrite
from face_analysis.zoo.card import DROPOUT, RECOGNITION, WIDTH, AgeLossName, BackboneConfig, BackboneName

HeadName = Literal[
    "arcface", "cosface", "sphereface", "adacos", "adaface", "magface", "curricularface", "softmax"
]
PresetName = Literal["laptop", "gpu", "original"]


@dataclass(frozen=True)
class TrainOptions(MachineOptions):
    """The options of a training run. Paths are relative to the working folder."""

    attribute: Annotated[
        tuple[Literal["race", "gender", "age", "recognition"], ...],
        Opt("race, gender or age (several: a head for each on one network), or recognition", "-a"),
    ]
    train_source: Annotated[Path | None, Opt("folder of training images, an LMDB or a .rec", "-ts")] = None
    train_list: Annotated[
        Path | None, Opt("list of the training images (recognition: else each subfolder is a person)", "-t")
    ] = None
    val_source: Annotated[Path | None, Opt("folder of the validation images or sets, or an LMDB", "-vs")] = (
        None
    )
    val_list: Annotated[
        tuple[str, ...],
        Opt("list of the validation images; recognition: names of verification sets in --val_source", "-v"),
    ] = ()
    output: Annotated[Path | None, Opt("run folder (default: runs/<prefix>_<time>)", "-o")] = None
    preset: Annotated[
        PresetName | None,
        Opt("values of the options that are not given (default: gpu where there is one, else laptop)"),
    ] = None
    prefix: Annotated[str | None, Opt("name of the run (default: the attributes)", "-p")] = None

    backbone: Annotated[BackboneName, Opt("network under the heads")] = "iresnet"
    depth: Annotated[int, Opt("iresnet: 18, 34, 50, 100 or 152", "-d")] = 50
    net_mode: Annotated[Literal["ir", "ir_se"], Opt("iresnet: units without or with SE", "-n")] = "ir_se"
    width: Annotated[float, Opt("factor on the channels of the backbone"), WIDTH] = 1.0
    dropout: Annotated[float, Opt("dropout before the embedding"), DROPOUT] = 0.4
    embedding_size: Annotated[int, Opt("numbers of an embedding"), Range(low=1)] = 512

    epochs: Annotated[int, Opt("passes over the training images", "-e"), Range(low=1)] = 30
    batch_size: Annotated[int, Opt("images a step, over all devices together", "-b"), Range(low=2)] = 384
    accumulate: Annotated[
        int,
        Opt("parts in which a step's images go through the network; 0: as few as fit into memory"),
        Range(low=0),
    ] = 0
    lr: Annotated[float, Opt("learning rate of the first epoch", "-lr"), Range(over=0)] = 0.001
    lr_batch: Annotated[
        int,
        Opt("--lr is for steps of so many images, and grows with --batch_size; 0: it is as given"),
        Range(low=0),
    ] = 0
    lr_steps: Annotated[
        tuple[int, ...], Opt("epochs that start with a tenth of the learning rate"), Range(low=0)
    ] = (9, 12, 14)
    lr_cosine: Annotated[
        bool, Opt("raise the learning rate over the first half epoch, then lower it along a cosine to 0")
    ] = False
    lr_plateau: Annotated[bool, Opt("lower the learning rate on a plateau, not by epoch", "-lrp")] = False
    early_stop: Annotated[bool, Opt("stop after 5 validations without gain", "-es")] = False
    optimizer: Annotated[
        Literal["sgd", "adamw"],
        Opt("what moves the weights; recognition's class weights always move by SGD"),
    ] = "sgd"
    momentum: Annotated[float, Opt("momentum of SGD"), Range(low=0, below=1)] = 0.9
    weight_decay: Annotated[float, Opt("on all but the backbone's batch-norm parameters"), Range(low=0)] = (
        5e-4
    )
    clip: Annotated[
        float,
        Opt("largest norm of a step's gradient, without that of recognition's class weights; 0: any"),
        Range(low=0),
    ] = 0.0
    layer_decay: Annotated[
        float,
        Opt("factor on the learning rate from each unit of the backbone to the one before it; 1: none"),
        Range(0.001, 1),
    ] = 1.0
    freeze: Annotated[
        int,
        Opt("with -1 the whole backbone learns; with N >= 0 its stem and first N units stay as they are"),
        Range(low=-1),
    ] = -1
    ema: Annotated[
        float,
        Opt("decay a step of a running average of the weights, which is what is kept; 0: none"),
        Range(low=0, below=1),
    ] = 0.0
    head_lr: Annotated[
        float, Opt("factor on the learning rate of the heads; their decay is divided by it"), Range(over=0)
    ] = 1.0
    age_loss: Annotated[
        AgeLossName,
        Opt(
            f"age as tasks ({losses_of('tasks')}), as years ({losses_of('years')}) or as a number "
            f"({losses_of('number')})"
        ),
    ] = "ordinal"
    age_task_weights: Annotated[
        bool, Opt("weigh the tasks of age by their images, as CORAL's paper does")
    ] = False
    class_weight_power: Annotated[
        float, Opt("class weight = (largest count / count) to this power; 0: no class weights"), Range(0, 1)
    ] = 1.0
    label_smoothing: Annotated[
        float,
        Opt("fraction of a race or gender label that is spread over all classes"),
        Range(low=0, below=1),
    ] = 0.0
    balance: Annotated[
        Attribute | None,
        Opt("draw every class of this attribute (age: decade) equally often; its class weights become 1"),
    ] = None
    loss_weights: Annotated[
        tuple[float, ...],
        Opt("factor on each attribute's loss, in their order (default: 1; for age beside others mostly 0.1)"),
        Range(low=0),
    ] = ()
    align: Annotated[
        bool, Opt("the images are photos: find the face nearest the middle of each, and align it")
    ] = False
    jitter: Annotated[
        float, Opt("random shift, scale, rotation, brightness, contrast; 0: flips alone"), Range(0, 1)
    ] = 0.0
    degrade: Annotated[
        float,
        Opt("fraction of images made blurred, coarse in JPEG, off in colour, partly covered"),
        Range(0, 1),
    ] = 0.0
    mixup: Annotated[
        float,
        Opt("attributes: mix images in pairs, by weights drawn from Beta(this, this); 0: do not"),
        Range(low=0),
    ] = 0.0
    validations: Annotated[int, Opt("validations an epoch"), Range(low=1)] = 5
    save_every: Annotated[
        int,
        Opt("renew last.ckpt after so many steps too, not only after validations; 0: do not"),
        Range(low=0),
    ] = 0

    compile: Annotated[bool, Opt("compile the backbone (torch.compile); needs a C++ compiler")] = False
    checkpointing: Annotated[
        bool, Opt("gradient checkpointing: less memory, for the backbone's units are computed twice")
    ] = False
    sync_batchnorm: Annotated[
        bool, Opt("several processes: batch norms take mean and variance over the images of all")
    ] = False
    multi_gpu: Annotated[bool, Opt("use every GPU of the machine", "-m")] = False
    devices: Annotated[int, Opt("GPUs of the machine to use, or without one processes"), Range(low=1)] = 1
    workers: Annotated[int, Opt("processes that load images", "-w"), Range(low=0)] = 4
    model_licence: Annotated[str, Opt("licence of the data and so of the weights, for the model card")] = (
        "not stated"
    )
    seed: Annotated[int, Opt("seed of weights, image order, flips and dropout"), Range(0, 2**32 - 1)] = 0

    pretrained: Annotated[Path | None, Opt("weights to start from (heads where they fit)", "-pt")] = None
    resume: Annotated[Path | None, Opt("run folder, or checkpoint, to take up again", "-r")] = None
    overwrite: Overwrite = False
    num_classes: Annotated[
        int | None, Opt("number of classes; checked against the attribute", "-nc"), Range(low=1)
    ] = None
    use_mask: Annotated[bool, Opt("blur images outside the face, by the masks in the LMDB", "-us")] = False

    head: Annotated[HeadName, Opt("recognition: margin head", "-hd")] = "arcface"
    margin: Annotated[
        float | None, Opt("recognition: margin (default: the head's published one)", "-margin"), Range(low=0)
    ] = None
    scale: Annotated[float | None, Opt("recognition: scale of the cosines (default: 64)"), Range(over=0)] = (
        None
    )
    margin_warmup: Annotated[
        float, Opt("recognition: epochs over which the margin rises from none"), Range(low=0)
    ] = 0.0
    subcentres: Annotated[
        int, Opt("recognition: weight vectors of each class (Sub-center ArcFace: 3)"), Range(low=1)
    ] = 1
    sample_rate: Annotated[
        float,
        Opt("recognition: fraction of the classes that a step compares with (Partial FC); 1: all"),
        Range(over=0, high=1),
    ] = 1.0
    images_per_person: Annotated[
        int,
        Opt("recognition: draw so many images of each person in a step; 0: images in any order"),
        Range(low=0),
    ] = 0

    @property
    def recognition(self) -> bool:
        """Whether the run trains recognition, and not attributes."""
        return RECOGNITION in self.attribute

    @property
    def part_size(self) -> int:
        """Images that go through the network at once, over all devices together."""
        return self.batch_size // max(1, self.accumulate)

    @property
    def step_lr(self) -> float:
        """The first learning rate, for this batch size."""
        return self.lr * (self.batch_size / self.lr_batch if self.lr_batch else 1)

    @property
    def backbone_config(self) -> BackboneConfig:
        """The network under the heads."""
        return BackboneConfig(
            self.backbone, self.depth, self.net_mode, self.width, self.dropout, self.embedding_size
        )


def to_keep(options: TrainOptions) -> TrainOptions:
    """The options as a run keeps them: with absolute paths, so that it can go on from any working folder.

    Its own folder is where they are kept. A run that goes on by them overwrites nothing.
    """
    paths: dict[str, Any] = {
        item.name: value.absolute()
        for item in fields(options)
        if isinstance(value := getattr(options, item.name), Path)
    }
    if not options.recognition:
        paths["val_list"] = tuple(str(Path(name).absolute()) for name in options.val_list)
    return replace(options, **{**paths, "output": None}, overwrite=False)
