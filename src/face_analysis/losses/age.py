"""The losses that age can be trained with, and how the network's outputs are then to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from face_analysis.losses.age_distribution import dex_loss, dldl_loss, mean_variance_loss
from face_analysis.losses.age_ordinal import corn_loss, corn_tasks, pairs_loss, pairs_tasks
from face_analysis.losses.age_regression import l1_loss, l2_loss, regression_tasks
from face_analysis.losses.ordinal import ordinal_loss, tasks_of_distribution
from face_analysis.models.layers import precise
from face_analysis.zoo.card import AgeLossName


@dataclass(frozen=True)
class AgeLoss:
    """`loss` of the network's logits (N, outputs) and ages (N,) in years, -1 where unknown.

    `tasks` turns the logits into those of the hundred tasks "older than k" (N, 100), from which ages are
    decoded. A `weighted` loss takes `weights` (100,) of these tasks too.
    `share` is the factor on it beside the losses of other attributes, which are around 1.
    """

    loss: Callable[..., Tensor]
    tasks: Callable[[Tensor], Tensor]
    share: float = 1.0
    weighted: bool = False


AGE_LOSSES: dict[AgeLossName, AgeLoss] = {
    "ordinal": AgeLoss(ordinal_loss, precise, 0.1, weighted=True),
    "pairs": AgeLoss(pairs_loss, pairs_tasks, 0.1, weighted=True),
    # The loss of CORAL is the same; what differs is the head, whose tasks share one vector of weights.
    "coral": AgeLoss(ordinal_loss, precise, 0.1, weighted=True),
    "corn": AgeLoss(corn_loss, corn_tasks, 0.1, weighted=True),
    "dex": AgeLoss(dex_loss, tasks_of_distribution),
    "dldl": AgeLoss(dldl_loss, tasks_of_distribution, 0.1),
    "mean_variance": AgeLoss(mean_variance_loss, tasks_of_distribution, 0.1),
    "l1": AgeLoss(l1_loss, regression_tasks),
    "l2": AgeLoss(l2_loss, regression_tasks),
}
