"""The training task of attributes: one network, a head and a loss for each of race, gender and age."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor

from face_analysis.datasets.attributes import Attribute
from face_analysis.datasets.faces import FaceBatch
from face_analysis.errors import NonFiniteLossError
from face_analysis.images.normalise import normalise
from face_analysis.losses.classification import weighted_cross_entropy
from face_analysis.losses.ordinal import expected_age, ordinal_loss
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.training.augment import augment
from face_analysis.training.degrade import degrade
from face_analysis.training.freeze import frozen_parts
from face_analysis.training.options import TrainOptions

SCORE = "val_score"


class AttributeTask(L.LightningModule):
    """Losses, optimiser and validation measures of an attribute network.

    `class_weights` has a weight for each class of race and gender; `image_name` turns a row of the training
    set into what an error message calls it; an epoch has `epoch_steps` steps. The validation score is the
    mean over the attributes of accuracy (race, gender) and 1 - MAE / 100 (age: a year counts as one point of
    accuracy), higher is better.
    """

    def __init__(
        self,
        network: AttributeNetwork,
        class_weights: dict[Attribute, Tensor],
        options: TrainOptions,
        image_name: Callable[[int], str],
        epoch_steps: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.attributes = network.attributes
        self.class_weights = class_weights
        self.options = options
        self.image_name = image_name
        self.epoch_steps = epoch_steps
        self.loss_weights = loss_weights(options, self.attributes)
        self.frozen = frozen_parts(network.backbone, options.freeze)

    def train(self, mode: bool = True) -> AttributeTask:
        """Set the mode of all but the frozen parts, whose batch norms keep their averages."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    @staticmethod
    def logged(attributes: tuple[Attribute, ...]) -> tuple[str, ...]:
        """The names of all that is logged."""
        losses = tuple(f"train_loss_{name}" for name in attributes)
        return ("learning_rate", "train_loss", *losses, SCORE, *(measure_name(name) for name in attributes))

    def on_train_batch_start(self, batch: FaceBatch, batch_idx: int) -> None:
        """Draw flips and dropout from (seed, step, process), so that a resumed run repeats them."""
        torch.manual_seed((self.options.seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank)

    def training_step(self, batch: FaceBatch, batch_idx: int) -> Tensor | None:
        """Loss of one batch; a batch with fewer than two readable images is passed over."""
        if len(batch.images) < 2:
            return None
        logits = self.network(self._augmented(batch.images))
        losses = {
            name: self._loss(name, logits[name], batch.labels[:, column])
            for column, name in enumerate(self.attributes)
        }
        total = torch.stack([self.loss_weights[name] * loss for name, loss in losses.items()]).sum()
        if not torch.isfinite(total):
            raise self._not_finite(losses, batch)
        self.log("train_loss", total, batch_size=len(batch.images))
        self.log_dict({f"train_loss_{name}": loss.detach() for name, loss in losses.items()})
        self.log("learning_rate", self._learning_rate())
        return total

    def _augmented(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return degrade(augment(normalise(images), self.options.jitter), self.options.degrade)

    def _loss(self, attribute: Attribute, logits: Tensor, labels: Tensor) -> Tensor:
        if attribute == "age":
            return ordinal_loss(logits, labels)
        return weighted_cross_entropy(
            logits, labels, self.class_weights[attribute], self.options.label_smoothing
        )

    def _learning_rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def _not_finite(self, losses: dict[Attribute, Tensor], batch: FaceBatch) -> NonFiniteLossError:
        values = ", ".join(f"{name} {float(loss.detach()):g}" for name, loss in losses.items())
        names = [self.image_name(int(row)) for row in batch.indices]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return NonFiniteLossError(
            f"the loss is not finite at step {self.global_step} (epoch {self.current_epoch}; {values}), "
            f"learning rate {self._learning_rate():g}, images {shown}; lower --lr, or "
            "look at these images; the last checkpoint is kept"
        )

    def on_validation_epoch_start(self) -> None:
        """Start sums of (correct images or absolute error, known images), a row an attribute."""
        self.sums = torch.zeros(len(self.attributes), 2, dtype=torch.float64, device="cpu")

    def validation_step(self, batch: FaceBatch, batch_idx: int) -> None:
        """Add up what one batch has right."""
        if len(batch.images) == 0:
            return
        logits = self.network(normalise(batch.images))
        for column, name in enumerate(self.attributes):
            labels = batch.labels[:, column]
            known = labels >= 0
            if name == "age":
                measure = (expected_age(logits[name]) - labels).abs()
            else:
                measure = (logits[name].argmax(dim=1) == labels).double()
            self.sums[column, 0] += float((measure * known).sum())
            self.sums[column, 1] += int(known.sum())

    def on_validation_epoch_end(self) -> None:
        """Log each attribute's measure and the score, over all processes."""
        sums = self.trainer.strategy.reduce(self.sums.to(self.device), reduce_op="sum")
        assert isinstance(sums, Tensor)
        scores = []
        for name, (total, count) in zip(self.attributes, sums.tolist(), strict=True):
            value = total / max(count, 1)
            self.log(measure_name(name), value)
            scores.append(1 - value / 100 if name == "age" else value)
        self.log(SCORE, sum(scores) / len(scores))

    def configure_optimizers(self) -> Any:
        """SGD; the batch-norm parameters of the backbone are not decayed.

        The heads see embeddings of length 1 and so get small gradients: `head_lr` speeds them up.
        """
        options = self.options
        norms = [
            parameter
            for module in self.network.backbone.modules()
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
            for parameter in module.parameters(recurse=False)
            if parameter.requires_grad
        ]
        exempt = {id(parameter) for parameter in norms}
        backbone = [
            parameter
            for parameter in self.network.backbone.parameters()
            if parameter.requires_grad and id(parameter) not in exempt
        ]
        groups: list[dict[str, Any]] = [
            {"params": backbone, "weight_decay": options.weight_decay},
            {"params": norms, "weight_decay": 0},
            {
                "params": list(self.network.heads.parameters()),
                "lr": options.lr * options.head_lr,
                "weight_decay": options.weight_decay / options.head_lr,
            },
        ]
        optimiser = torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum)
        if options.lr_plateau:
            return optimiser
        if options.lr_cosine:
            # Asking the Trainer for the steps would open the loader before a checkpoint has set its position.
            factor = warm_cosine(self.epoch_steps * options.epochs, options.epochs)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
        steps = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(options.lr_steps), gamma=0.1)
        return {"optimizer": optimiser, "lr_scheduler": steps}


def warm_cosine(steps: int, epochs: int) -> Callable[[int], float]:
    """The factor on the learning rate at each step: up along a line for half an epoch, then a cosine."""
    warm = max(1.0, steps / epochs / 2)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1.0, steps - warm))))

    return factor


def measure_name(attribute: Attribute) -> str:
    """What validation logs of an attribute: the mean absolute error of age, or an accuracy."""
    return "val_age_mae" if attribute == "age" else f"val_{attribute}_accuracy"


def loss_weights(options: TrainOptions, attributes: tuple[Attribute, ...]) -> dict[Attribute, float]:
    """The factor on each attribute's loss.

    The age loss is a sum over 100 tasks and would drown the others: beside them it counts a tenth.
    """
    given = options.loss_weights
    if given:
        by_name = dict(zip(options.attribute, given, strict=True))
        return {name: by_name[name] for name in attributes}
    return {name: 0.1 if name == "age" and len(attributes) > 1 else 1.0 for name in attributes}
