"""The curves of training runs: what each is called, how it is smoothed, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from face_analysis.reports.measure_text import MeasureText
from face_analysis.reports.runs.comparison import RunGroup

SMOOTHED = 5
"""Logged values of which a smoothed one is the mean: its own and its neighbours'."""
TITLES = {
    "learning_rate": "Learning rate",
    "margin": "Margin",
    "feature_norm": "Feature norm",
    "target_cosine": "Target logit",
    "val_score": "Validation score",
}
ABOUT = {
    "learning_rate": "That of the backbone, on a logarithmic axis.",
    "margin": "What the head takes from the target logit; it rises during margin_warmup.",
    "feature_norm": "Mean length of the embeddings before they are scaled to length 1.",
    "target_cosine": "Mean cosine of embeddings with the centres of their classes, before margin and scale.",
    "val_score": "By which the best network is kept: the mean of a run's measures (of age 1 - MAE/100).",
}
LOSS = "Losses of different heads or weights are not on one scale: compare the measures of validation."


def curve_text(column: str) -> MeasureText:
    """How a column of the log is called and written."""
    if column.startswith("train_loss"):
        of = column.removeprefix("train_loss").strip("_")
        return MeasureText(f"Training loss, {of}" if of else "Training loss", "", 1, 4)
    if column.endswith("_accuracy"):
        of = column.removeprefix("val_").removesuffix("_accuracy")
        return MeasureText(f"Accuracy, {of}", "%", 100, 2)
    if column.endswith("_mae"):
        of = column.removeprefix("val_").removesuffix("_mae")
        return MeasureText(f"MAE, {of}", "years", 1, 2)
    return MeasureText(TITLES.get(column, column), "", 1, 4)


def curve_about(column: str) -> str:
    """A sentence or two on what the figure shows."""
    told = [ABOUT.get(column, ""), LOSS if column.startswith("train_loss") else ""]
    if is_smoothed(column):
        told.append(f"Smoothed: each value is the mean of {SMOOTHED} logged ones, at the ends of fewer.")
    return " ".join(filter(None, told))


def is_smoothed(column: str) -> bool:
    """Whether it is of single batches, and so drawn smoothed."""
    return column.startswith("train_loss") or column in ("target_cosine", "feature_norm")


def drawn(column: str, curve: Mapping[int, float]) -> dict[int, float]:
    """The values as they are drawn, by step; a noisy column is smoothed over neighbours in the log."""
    if not is_smoothed(column):
        return dict(curve)
    values, reach = list(curve.values()), SMOOTHED // 2
    means = (float(np.mean(values[max(0, at - reach) : at + reach + 1])) for at in range(len(values)))
    return dict(zip(curve, means, strict=True))


def curve_rows(groups: Sequence[RunGroup], column: str) -> list[tuple[object, ...]]:
    """What a figure shows, for a CSV: a row for each logged value of each run."""
    return [
        (
            group.label,
            run.name,
            run.settings["seed"],
            run.epochs[step],
            step,
            run.images(step),
            f"{value:.9g}",
        )
        + ((f"{shown[step]:.9g}",) if is_smoothed(column) else ())
        for group in groups
        for run in group.runs
        for shown in [drawn(column, run.curves.get(column, {}))]
        for step, value in run.curves.get(column, {}).items()
    ]
