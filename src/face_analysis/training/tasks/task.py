"""What the trainings of attributes and of recognition share."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from face_analysis.datasets.faces import FaceBatch
from face_analysis.distributed import world_size
from face_analysis.images.normalise import normalise
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.models.precision import backbone_of
from face_analysis.training.augment import augment, degrade
from face_analysis.training.backbone import compile_body, freeze_first_units, recompute_units
from face_analysis.training.draws import Draws
from face_analysis.training.layers import DrawnDropout, replace_dropouts, synchronise_batch_norms
from face_analysis.training.optimiser import backbone_groups
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.run_folder import SCORE

log = logging.getLogger(__name__)


@dataclass
class Position:
    """Where a run is: whole epochs, steps of the optimiser, parts of steps in this epoch; the rate it has."""

    epoch: int = 0
    step: int = 0
    part: int = 0
    learning_rate: float = 0.0

    def end_epoch(self) -> None:
        """Go to the beginning of the next epoch."""
        self.epoch, self.part = self.epoch + 1, 0


class Task(nn.Module):
    """A network that learns, and what is done to its images; called with a batch it gives the loss.

    `image_name` turns a row of the training set into what an error message calls it; an epoch has
    `epoch_steps` steps of the optimiser. `logged` are the names of all that is logged, `measured` the latest
    values of a training step, and `at` is where the run is. Nothing that a step calls waits for the device.
    """

    logged: tuple[str, ...]

    def __init__(
        self,
        network: AttributeNetwork | Backbone,
        options: TrainOptions,
        image_name: Callable[[int], str],
        epoch_steps: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.options = options
        self.image_name = image_name
        self.epoch_steps = epoch_steps
        self.at = Position()
        self.measured: dict[str, Tensor | float] = {}
        self.frozen = freeze_first_units(self.backbone, options.freeze)
        self.dropouts: list[DrawnDropout] = []
        if options.checkpointing:
            recompute_units(self.backbone)

    @property
    def backbone(self) -> Backbone:
        """The network without heads."""
        return backbone_of(self.network)

    @property
    def float_type(self) -> torch.dtype:
        """That of the weights."""
        return next(self.network.parameters()).dtype

    def train(self, mode: bool = True) -> Task:
        """Set the mode of all but the frozen parts, whose batch norms keep their averages."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def prepare(self, device: torch.device) -> None:
        """Go to the device and draw dropout by image; where asked to, join batch norms and compile."""
        self.to(device)
        self.dropouts = replace_dropouts(self.network)
        if self.options.sync_batchnorm and world_size() > 1:
            synchronise_batch_norms(self.network, device)
        if self.options.compile:
            compile_body(self.backbone)

    def forward(self, batch: FaceBatch) -> Tensor:
        """The loss of a training batch over all processes; images that could not be read are not in it."""
        return self.no_loss() if self.too_few(batch) else self.loss(batch)

    def loss(self, batch: FaceBatch) -> Tensor:
        """The loss of a batch of two images or more, whose parts go to `measured`."""
        raise NotImplementedError

    def moved_apart(self) -> list[Tensor]:
        """What the optimiser does not move, with the gradients of the step."""
        return []

    def after_step(self, overflow: Tensor | None) -> None:
        """Move what the optimiser does not; nothing where `overflow`, one number on the device, is 1."""

    def begin_validation(self) -> None:
        """Make room for what a validation finds."""
        raise NotImplementedError

    def validate(self, batch: FaceBatch, number: int) -> None:
        """Take in a batch of the validation set of this number."""
        raise NotImplementedError

    def end_validation(self) -> tuple[dict[str, float], float | None]:
        """The measures of all processes' images, with the score among them; the score, None where there is
        none."""
        raise NotImplementedError

    def extra_state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the weights; every process calls it."""
        return {}

    def load_extra_state(self, checkpoint: Mapping[str, Any]) -> None:
        """Take it from a checkpoint."""

    def draws(self, batch: FaceBatch) -> Draws:
        """The random numbers of a training batch."""
        # An image that is drawn several times an epoch is not to look the same each time.
        again = self.options.balance is not None or self.options.images_per_person > 0
        return Draws(self.options.seed, self.at.step if again else self.at.epoch, batch.indices, batch.rows)

    def augmented(self, batch: FaceBatch) -> Tensor:
        """The images of a training batch as the network sees them, in its float type."""
        options, draws = self.options, self.draws(batch)
        for dropout in self.dropouts:
            dropout.draws = draws
        images = normalise(batch.images).to(torch.promote_types(self.float_type, torch.float32))
        if len(images) > 0:  # of several processes one may have none
            with torch.autocast(images.device.type, enabled=False):
                images = degrade(augment(images, options.jitter, draws), options.degrade, draws)
        return images.to(self.float_type)

    def too_few(self, batch: FaceBatch) -> bool:
        """Whether a batch norm would see but one image, of all processes or of one; or there is no image."""
        counts = batch.counts or (len(batch.images),)
        alone = sum(counts) < 2 if self.options.sync_batchnorm else 1 in counts
        return alone or sum(counts) == 0

    def no_loss(self) -> Tensor:
        """0, with gradients of 0: a step in which several processes add up gradients cannot be left out."""
        return 0 * torch.stack([parameter.sum() for parameter in self.network.parameters()]).sum()

    @property
    def steps_of_epochs(self) -> int:
        """How many steps of this size come before the next one in the run; `at.step` are those made."""
        return self.at.epoch * self.epoch_steps + self.at.part // self.options.accumulate

    def scored(self, measures: dict[str, tuple[float, float]]) -> tuple[dict[str, float], float | None]:
        """The measures, and as the score the mean of what each adds to it.

        One that is not finite is warned of and left out; where nothing adds to the score there is none.
        """
        found, parts = {}, []
        for name, (value, part) in measures.items():
            if math.isfinite(value):
                found[name] = value
                parts.append(part)
            else:
                log.warning("%s after step %d is not a finite number: left out", name, self.at.step)
        if not parts:
            log.warning("the validation after step %d gives no score; nothing is chosen by it", self.at.step)
            return found, None
        score = sum(parts) / len(parts)
        return {SCORE: score, **found}, score

    def head_groups(self) -> list[dict[str, Any]]:
        """Parameters beside the backbone's, with their settings."""
        return []

    def groups(self) -> list[dict[str, Any]]:
        """All parameters, with their settings at the start; the backbone's batch norms are not decayed."""
        return [*backbone_groups(self.backbone, self.options), *self.head_groups()]
