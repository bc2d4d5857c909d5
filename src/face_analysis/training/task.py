"""What the trainings of attributes and of recognition share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor

from face_analysis.datasets.faces import FaceBatch
from face_analysis.errors import NonFiniteLossError
from face_analysis.images.normalise import normalise
from face_analysis.losses.processes import world
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.training.augment import augment
from face_analysis.training.batch_norm import synchronise_batch_norms
from face_analysis.training.degrade import degrade
from face_analysis.training.draws import Draws
from face_analysis.training.freeze import frozen_parts
from face_analysis.training.optimiser import backbone_groups, optimiser_and_schedule
from face_analysis.training.options import TrainOptions

SCORE = "val_score"
"""What chooses the best network: logged by every task, higher is better."""


class Task(L.LightningModule):
    """A network that learns, its optimiser and what is done to its images.

    `image_name` turns a row of the training set into what an error message calls it; an epoch has
    `epoch_steps` steps of the optimiser. `logged` are the names of all that is logged.
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
        self.frozen = frozen_parts(self.backbone, options.freeze)

    @property
    def backbone(self) -> Backbone:
        """The network without heads."""
        return self.network.backbone if isinstance(self.network, AttributeNetwork) else self.network

    def train(self, mode: bool = True) -> Task:
        """Set the mode of all but the frozen parts, whose batch norms keep their averages."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def setup(self, stage: str) -> None:
        """Where several processes train, let batch norms see the images of all."""
        if world() > 1:
            synchronise_batch_norms(self.network, self.trainer.strategy.root_device)

    def on_train_batch_start(self, batch: FaceBatch, batch_idx: int) -> None:
        """Draw dropout from (seed, step, process), so that a resumed run repeats it."""
        torch.manual_seed((self.options.seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank)

    def augmented(self, batch: FaceBatch) -> Tensor:
        """The images of a training batch as the network sees them, in its float type."""
        options, images = self.options, batch.images
        # An image that is drawn several times an epoch is not to look the same each time.
        again = options.balance is not None or options.images_per_person > 0
        turn = self.global_step if again else self.current_epoch
        draws = Draws(options.seed, turn, batch.indices)
        with torch.autocast(images.device.type, enabled=False):
            spoilt = degrade(augment(normalise(images), options.jitter, draws), options.degrade, draws)
            return spoilt.to(self.dtype)

    @property
    def learning_rate(self) -> float:
        """That of the next step, without the factor on heads."""
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def require_finite(self, total: Tensor, parts: dict[str, Tensor], batch: FaceBatch) -> None:
        """Raise NonFiniteLossError, with the parts of the loss and the images, unless it is a number."""
        if torch.isfinite(total):
            return
        values = ", ".join(f"{name} {float(loss.detach()):g}" for name, loss in parts.items())
        names = [self.image_name(int(row)) for row in batch.indices]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise NonFiniteLossError(
            f"the loss is not finite at step {self.global_step} (epoch {self.current_epoch}; {values}), "
            f"learning rate {self.learning_rate:g}, images {shown}; lower --lr, or "
            "look at these images; the last checkpoint is kept"
        )

    def head_groups(self) -> list[dict[str, Any]]:
        """Parameters beside the backbone's, with their settings."""
        return []

    def configure_optimizers(self) -> Any:
        """SGD; the batch-norm parameters of the backbone are not decayed."""
        groups = [*backbone_groups(self.backbone, self.options), *self.head_groups()]
        return optimiser_and_schedule(groups, self.options, self.epoch_steps)
