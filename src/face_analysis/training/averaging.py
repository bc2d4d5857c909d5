"""A running average of the weights, of which nothing is lost when a run is stopped and taken up again."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class AverageWeights(WeightAveraging):
    """After each step: average = decay * average + (1 - decay) * weights (Polyak and Juditsky 1992).

    The average starts as the weights after the first step, and takes in the statistics of batch norms.
    Validation sees it, and it is the `state_dict` of a checkpoint, beside which the weights that learn lie.
    Has to come before a callback that saves a checkpoint after a step.
    """

    def __init__(self, decay: float) -> None:
        # Interpolation leaves frozen weights as they are, where a sum of two products would round.
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # not typed in torch
        super().__init__(multi_avg_fn=average)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the weights that learn in place: a run with more epochs goes on from them."""
