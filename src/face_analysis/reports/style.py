"""One wording and one look for all reports: names and rounding of measures, Markdown tables, figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from face_analysis.datasets.attributes import Attribute
from face_analysis.evaluation.intervals import Estimate
from face_analysis.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCEIVED = (
    "Race, gender and age are as perceived by the annotators of the data set, not facts about a person."
)
UNSUPPORTED = "too few pairs"
STAR = " *"
"""Behind a figure that too few pairs or people tell."""
FEW = f"* {UNSUPPORTED} or people to tell the figure."
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Told apart by colour-blind eyes (Okabe and Ito 2008)."""


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


def section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a heading of level 2, and a table under it."""
    yield from ("", f"## {title}", "")
    yield _table_line(heads)
    yield _table_line(["---"] * len(heads))
    yield from map(_table_line, rows)


def _table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def figure_style() -> AbstractContextManager[None]:
    """matplotlib's settings for the block that draws and saves figures."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "savefig.dpi": 150,
            "savefig.bbox": "tight",
            "savefig.pad_inches": 0.15,
        }
    )


def write_figures(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure as a PNG of its name, whole. Raises WriteError."""
    for name, figure in figures.items():
        with whole_file(folder / f"{name}.png") as partial:
            figure.savefig(partial, format="png")


def figure_text(text: str) -> str:
    """A name as a figure draws it: `$` begins no formula, and bytes that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")
