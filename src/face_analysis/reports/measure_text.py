"""How measures are named and written: one wording for tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

from face_analysis.datasets.attributes import Attribute
from face_analysis.evaluation.intervals import Estimate

PERCEIVED = (
    "Race, gender and age are as perceived by the annotators of the data set, not facts about a person."
)
UNSUPPORTED = "too few pairs"
STAR = " *"
"""Behind a figure that too few pairs or people tell."""
FEW = f"* {UNSUPPORTED} or people to tell the figure."


@dataclass(frozen=True)
class MeasureText:
    """The name of a measure, its unit, and how its numbers are scaled and rounded."""

    title: str
    unit: str
    scale: float
    decimals: int

    @property
    def heading(self) -> str:
        """Name and unit, such as `Accuracy (%)`; the name alone of what has no unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def write(self, estimate: Estimate | None) -> str:
        """Value, interval and count, such as `91.2 [90.0, 92.3] (n = 2225)`; a dash for nothing to report."""
        if estimate is None:
            return "-"
        value, low, high = (
            f"{number * self.scale:.{self.decimals}f}"
            for number in (estimate.value, estimate.low, estimate.high)
        )
        return f"{value} [{low}, {high}] (n = {estimate.count})"


RECALL = MeasureText("Recall", "%", 100, 1)
MEASURES = {
    "accuracy": MeasureText("Accuracy", "%", 100, 1),
    "balanced_accuracy": MeasureText("Balanced accuracy", "%", 100, 1),
    "mae": MeasureText("Mean absolute error", "years", 1, 2),
    "within_5": MeasureText("Within 5 years", "%", 100, 1),
    "coverage": MeasureText("Inside the interval", "%", 100, 1),
    "width": MeasureText("Mean width", "years", 1, 1),
}

MEASURES_OF: dict[Attribute, tuple[str, str]] = {
    "race": ("accuracy", "balanced_accuracy"),
    "gender": ("accuracy", "balanced_accuracy"),
    "age": ("mae", "within_5"),
}
"""The measures of each attribute, the leading one first."""
