"""What the trainings of attributes and of recognition share."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor

from face_analysis.datasets.faces import FaceBatch
from face_analysis.errors import NonFiniteLossError
from face_analysis.images.normalise import normalise
from face_analysis.losses.processes import gathered, reduced, world
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.training.augment import augment, degrade
from face_analysis.training.backbone import compile_body, freeze_first_units, recompute_units
from face_analysis.training.draws import Draws
from face_analysis.training.layers import DrawnDropout, replace_dropouts, synchronise_batch_norms
from face_analysis.training.optimiser import backbone_groups, optimiser_and_schedule
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.run_folder import SCORE

log = logging.getLogger(__name__)


class Task(L.LightningModule):
    """A network that learns, its optimiser and what is done to its images.

    `image_name` turns a row of the training set into what an error message calls it; an epoch has
    `epoch_steps` steps of the optimiser. `logged` are the names of all that is logged; `score` is that of the
    latest validation, None where it gave none.
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
        self.score: float | None = None
        self.frozen = freeze_first_units(self.backbone, options.freeze)
        self.dropouts: list[DrawnDropout] = []
        if options.checkpointing:
            recompute_units(self.backbone)

    @property
    def backbone(self) -> Backbone:
        """The network without heads."""
        return self.network.backbone if isinstance(self.network, AttributeNetwork) else self.network

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

    def setup(self, stage: str) -> None:
        """Draw dropout by image, let batch norms see the images of all processes, compile where asked to."""
        self.dropouts = replace_dropouts(self.network)
        if world() > 1:
            synchronise_batch_norms(self.network, self.trainer.strategy.root_device)
        if self.options.compile:
            compile_body(self.backbone)

    def draws(self, batch: FaceBatch) -> Draws:
        """The random numbers of a training batch."""
        # An image that is drawn several times an epoch is not to look the same each time.
        again = self.options.balance is not None or self.options.images_per_person > 0
        return Draws(self.options.seed, self.global_step if again else self.current_epoch, batch.indices)

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
        """Whether fewer than two images could be read, over all processes: no batch norm learns from that."""
        return int(reduced(torch.tensor(len(batch.images)))) < 2

    def no_loss(self) -> Tensor:
        """0, with gradients of 0: a step in which several processes add up gradients cannot be left out."""
        return 0 * torch.stack([parameter.sum() for parameter in self.network.parameters()]).sum()

    @property
    def steps_of_epochs(self) -> int:
        """How many steps of this size come before the next one in the run; `global_step` are those made."""
        batch: int = self.trainer.fit_loop.epoch_loop.batch_idx
        return self.current_epoch * self.epoch_steps + batch // self.options.accumulate

    @property
    def learning_rate(self) -> float:
        """That of the next step, without the factor on heads."""
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def require_finite(self, total: Tensor, parts: dict[str, Tensor], batch: FaceBatch) -> None:
        """Raise NonFiniteLossError, with its parts and the images of all processes, unless it is finite."""
        if torch.isfinite(total):
            return
        values = ", ".join(f"{name} {float(loss.detach()):g}" for name, loss in parts.items())
        names = [self.image_name(row) for row in gathered(batch.indices).tolist()]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise NonFiniteLossError(
            f"the loss is not finite at step {self.global_step} (epoch {self.current_epoch}; {values}), "
            f"learning rate {self.learning_rate:g}, images {shown}; lower --lr, or "
            "look at these images; the last checkpoint is kept"
        )

    def log_validation(self, measures: dict[str, tuple[float, float]]) -> None:
        """Log each measure, and as the score the mean of what each adds to it.

        One that is not finite is warned of and has no part; a score that nothing adds to is not logged.
        """
        parts = []
        for name, (value, part) in measures.items():
            if math.isfinite(value):
                self.log(name, value)
                parts.append(part)
            else:
                log.warning("%s after step %d is not a finite number: left out", name, self.global_step)
        self.score = sum(parts) / len(parts) if parts else None
        if self.score is None:
            log.warning(
                "the validation after step %d gives no score; nothing is chosen by it", self.global_step
            )
        else:
            self.log(SCORE, self.score)

    def head_groups(self) -> list[dict[str, Any]]:
        """Parameters beside the backbone's, with their settings."""
        return []

    def groups(self) -> list[dict[str, Any]]:
        """All parameters, with their settings at the start; the backbone's batch norms are not decayed."""
        return [*backbone_groups(self.backbone, self.options), *self.head_groups()]

    def configure_optimizers(self) -> Any:
        """The optimiser and its schedule."""
        return optimiser_and_schedule(self.groups(), self.options, self.epoch_steps)
