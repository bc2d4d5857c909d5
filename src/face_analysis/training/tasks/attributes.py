"""The training task of attributes: one network, a head and a loss for each of race, gender and age."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from face_analysis.datasets.attributes import Attribute
from face_analysis.datasets.faces import FaceBatch
from face_analysis.distributed import all_gather_rows, all_reduce, replicated_loss
from face_analysis.images.normalise import normalise
from face_analysis.losses.age import AGE_LOSSES
from face_analysis.losses.cross_entropy import weighted_cross_entropy
from face_analysis.losses.ordinal import expected_age
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.training.augment import mixed, mixing_weight
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.run_folder import SCORE
from face_analysis.training.tasks.task import Task


class AttributeTask(Task):
    """Losses and validation measures of an attribute network.

    `class_weights` has a weight for each class of race and gender; `task_weights`, if the tasks of age are to
    be weighted, one for each of them. The validation score is the mean over the attributes of accuracy (race,
    gender) and 1 - MAE / 100 (age: a year counts as one point of accuracy). An attribute that no validation
    image has a label of has neither a measure nor a part in the score.
    """

    network: AttributeNetwork

    def __init__(
        self,
        network: AttributeNetwork,
        class_weights: dict[Attribute, Tensor],
        options: TrainOptions,
        image_name: Callable[[int], str],
        epoch_steps: int,
        task_weights: Tensor | None = None,
    ) -> None:
        super().__init__(network, options, image_name, epoch_steps)
        self.attributes = network.attributes
        self.class_weights = class_weights
        self.task_weights = task_weights
        self.age = AGE_LOSSES[network.age_loss]
        self.loss_weights = loss_weights(options, self.attributes)
        losses = (f"train_loss_{name}" for name in self.attributes)
        measures = (measure_name(name) for name in self.attributes)
        self.logged = ("learning_rate", "train_loss", *losses, SCORE, *measures)

    def prepare(self, device: torch.device) -> None:
        """Take the weights of the classes to the device too."""
        super().prepare(device)
        self.class_weights = {name: weights.to(device) for name, weights in self.class_weights.items()}
        if self.task_weights is not None:
            self.task_weights = self.task_weights.to(device)

    def loss(self, batch: FaceBatch) -> Tensor:
        """The weighted sum of the losses of the attributes."""
        counts, options = batch.counts, self.options
        images, labels = self.augmented(batch), all_gather_rows(batch.labels, counts)
        partners, weight = labels, 1.0
        if options.mixup:
            weight = mixing_weight(options.mixup, options.seed, self.at.step)
            images, partners = mixed(images, batch.labels, self.draws(batch), weight, counts)
        logits = {name: all_gather_rows(values, counts) for name, values in self.network(images).items()}
        losses = self._losses(logits, labels)
        if weight < 1:
            others = self._losses(logits, partners)
            losses = {name: weight * loss + (1 - weight) * others[name] for name, loss in losses.items()}
        total = torch.stack([self.loss_weights[name] * loss for name, loss in losses.items()]).sum()
        parts = {f"train_loss_{name}": loss.detach() for name, loss in losses.items()}
        self.measured |= {"learning_rate": self.at.learning_rate, "train_loss": total.detach(), **parts}
        return replicated_loss(total)

    def _losses(self, logits: dict[Attribute, Tensor], labels: Tensor) -> dict[Attribute, Tensor]:
        pairs = zip(self.attributes, labels.unbind(1), strict=True)
        return {name: self._loss(name, logits[name], own) for name, own in pairs}

    def _loss(self, name: Attribute, logits: Tensor, labels: Tensor) -> Tensor:
        if name != "age":
            smoothing = self.options.label_smoothing
            return weighted_cross_entropy(logits, labels, self.class_weights[name], smoothing)
        if self.task_weights is not None:
            return self.age.loss(logits, labels, self.task_weights)
        return self.age.loss(logits, labels)

    def begin_validation(self) -> None:
        """Start sums of (correct images or absolute error, known images), a row an attribute."""
        device = next(self.network.parameters()).device
        self.sums = torch.zeros(len(self.attributes), 2, dtype=torch.float64, device=device)

    def validate(self, batch: FaceBatch, number: int) -> None:
        """Add up what one batch has right."""
        if len(batch.images) == 0:
            return
        logits = self.network(normalise(batch.images).to(self.float_type))
        for column, name in enumerate(self.attributes):
            labels = batch.labels[:, column]
            known = labels >= 0
            if name == "age":
                measure = (expected_age(self.age.threshold_logits(logits[name])) - labels).abs()
            else:
                measure = (logits[name].argmax(dim=1) == labels).double()
            self.sums[column] += torch.stack([(measure * known).sum().double(), known.sum().double()])

    def end_validation(self) -> tuple[dict[str, float], float | None]:
        """Each attribute's measure and the score, over all processes."""
        measures = {}
        for name, (total, count) in zip(self.attributes, all_reduce(self.sums).tolist(), strict=True):
            if count:
                value = total / count
                measures[measure_name(name)] = value, 1 - value / 100 if name == "age" else value
        return self.scored(measures)

    def head_groups(self) -> list[dict[str, Any]]:
        """The heads see embeddings of norm 1 and so get small gradients: `head_lr` speeds them up."""
        options = self.options
        return [
            {
                "params": list(self.network.heads.parameters()),
                "lr": options.step_lr * options.head_lr,
                "weight_decay": options.weight_decay / options.head_lr,
            }
        ]


def measure_name(attribute: Attribute) -> str:
    """What validation logs of an attribute: the mean absolute error of age, or an accuracy."""
    return "val_age_mae" if attribute == "age" else f"val_{attribute}_accuracy"


def loss_weights(options: TrainOptions, attributes: tuple[Attribute, ...]) -> dict[Attribute, float]:
    """The factor on each attribute's loss.

    Most losses of age are sums over many tasks or years, and would drown the others: these count a tenth.
    """
    given = options.loss_weights
    if given:
        by_name = dict(zip(options.attribute, given, strict=True))
        return {name: by_name[name] for name in attributes}
    factor = AGE_LOSSES[options.age_loss].factor if len(attributes) > 1 else 1.0
    return {name: factor if name == "age" else 1.0 for name in attributes}
