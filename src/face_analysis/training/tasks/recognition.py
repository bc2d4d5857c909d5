"""The training task of recognition: embeddings against the weights of their classes, by a margin head."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from face_analysis.datasets.faces import FaceBatch
from face_analysis.datasets.pairs.sets import PairSet
from face_analysis.distributed import all_gather_rows, all_reduce, replicated_loss
from face_analysis.evaluation.verification import fold_accuracy
from face_analysis.images.normalise import normalise
from face_analysis.losses.cross_entropy import split_cross_entropy
from face_analysis.losses.margin import best_subcentres, cosines
from face_analysis.models.layers import Backbone, at_least_float32, unit_norm
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.run_folder import SCORE
from face_analysis.training.tasks.heads import HEADS, shared_targets
from face_analysis.training.tasks.partial_fc import ClassWeights
from face_analysis.training.tasks.task import Task

CLASSES = "classes"
"""Where a checkpoint keeps the weights of all classes."""
PEOPLE = "people"
"""Where it keeps the names of the people that the first classes are."""


class RecognitionTask(Task):
    """Loss and verification of a backbone that learns to tell `people` apart, the first of `classes` classes.

    The loss is that of the global batch: embeddings go to all processes, each of which has a part of the
    classes. Validation embeds the images of `pair_sets`, each with its mirror image, and takes the accuracy
    in folds; the score is the mean over the sets.
    """

    network: Backbone

    def __init__(
        self,
        network: Backbone,
        people: tuple[str, ...],
        classes: int,
        pair_sets: Sequence[PairSet],
        options: TrainOptions,
        image_name: Callable[[int], str],
        epoch_steps: int,
    ) -> None:
        super().__init__(network, options, image_name, epoch_steps)
        self.people, self.classes = people, classes
        self.pair_sets = pair_sets
        self.head = HEADS[options.head](classes, options.margin, options.scale)
        measures = (measure_name(pair_set) for pair_set in pair_sets)
        curves = ("margin", "feature_norm", "target_cosine")
        self.logged = ("learning_rate", "train_loss", *curves, SCORE, *measures)
        # Each process has its own classes, so their weights are not made equal when the run starts.
        self._ddp_params_and_buffers_to_ignore = ["class_weights.weights", "class_weights.momenta"]

    def prepare(self, device: torch.device) -> None:
        """Make this process's part of the classes too."""
        super().prepare(device)
        options = self.options
        settings = {"rate": options.sample_rate, "subcentres": options.subcentres, "seed": options.seed}
        self.class_weights = ClassWeights(self.classes, options.embedding_size, **settings)  # type: ignore[arg-type]
        self.class_weights.to(device, self.float_type)

    def loss(self, batch: FaceBatch) -> Tensor:
        """The head's loss over the classes of all processes."""
        raw = self.network.raw(self.augmented(batch))
        with torch.autocast(raw.device.type, enabled=False):
            loss = self._loss(at_least_float32(raw), batch)
        self.measured |= {"learning_rate": self.at.learning_rate, "train_loss": loss.detach()}
        return loss

    def _loss(self, raw: Tensor, batch: FaceBatch) -> Tensor:
        labels = all_gather_rows(batch.labels[:, 0], batch.counts)
        embeddings = all_gather_rows(unit_norm(raw), batch.counts)
        norms = all_gather_rows(raw.norm(dim=1), batch.counts)
        sample, own = self.class_weights.sample(self.class_weights.own_labels(labels), self.at.step)
        found = best_subcentres(cosines(embeddings, sample.weights.flatten(0, 1)), self.options.subcentres)
        self.measured |= {
            "target_cosine": shared_targets(found, own).mean(),
            "feature_norm": norms.detach().mean(),
            "margin": self.head.margin_at(self.margin_fraction),
        }
        loss = split_cross_entropy(self.head(found, own, norms, self.margin_fraction), own)
        penalty = self.head.penalty(norms)
        return loss if penalty is None else loss + replicated_loss(penalty)

    @property
    def margin_fraction(self) -> float:
        """How much of the margin counts at this step: it rises along a line during `margin_warmup` epochs."""
        steps = self.options.margin_warmup * self.epoch_steps
        return 1.0 if steps <= 0 else min(1.0, self.steps_of_epochs / steps)

    def moved_apart(self) -> list[Tensor]:
        """The class weights that the step uses."""
        return self.class_weights.used

    def after_step(self, overflow: Tensor | None) -> None:
        """Move the class weights that the step used, as `Task.after_step`."""
        options = self.options
        rate, decay = self.at.learning_rate * options.head_lr, options.weight_decay / options.head_lr
        self.class_weights.update(rate, options.momentum, decay, overflow)

    def extra_state(self) -> dict[str, Any]:
        """The class weights of all processes, and whose they are."""
        return {CLASSES: self.class_weights.whole(), PEOPLE: list(self.people)}

    def load_extra_state(self, checkpoint: Mapping[str, Any]) -> None:
        """Take this process's part of them, whatever the number of processes that saved them."""
        self.class_weights.load_whole(checkpoint[CLASSES])

    def begin_validation(self) -> None:
        """Make room for the embeddings of each set."""
        size, device = self.options.embedding_size, self.class_weights.weights.device
        self.embedded = [torch.zeros(len(each.images), size, device=device) for each in self.pair_sets]

    def validate(self, batch: FaceBatch, number: int) -> None:
        """Embed one batch of a set."""
        if len(batch.images) == 0:
            return
        images = normalise(batch.images).to(self.float_type)
        both = self.network(images) + self.network(images.flip(3))
        self.embedded[number][batch.indices] = unit_norm(both).to(torch.float32)

    def end_validation(self) -> tuple[dict[str, float], float | None]:
        """The accuracy of each set, over the embeddings of all processes, and their mean."""
        measures = {}
        for pair_set, embedded in zip(self.pair_sets, self.embedded, strict=True):
            rows, pairs = all_reduce(embedded).cpu().numpy(), pair_set.pairs
            scores = np.einsum("pd,pd->p", rows[pairs.first], rows[pairs.second])
            finite = bool(np.isfinite(scores).all())
            accuracy = fold_accuracy(scores, pairs.same, pairs.fold).mean if finite else math.nan
            measures[measure_name(pair_set)] = accuracy, accuracy
        self.embedded = []
        return self.scored(measures)


def measure_name(pair_set: PairSet) -> str:
    """What validation logs of a set."""
    return f"val_{pair_set.path.stem}_accuracy"
