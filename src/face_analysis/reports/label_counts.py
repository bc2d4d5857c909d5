"""How many images lists have of each race, gender and band of age: CSV, Markdown and a figure.

Counts are those of `count_groups`, int64 (races + 1, genders + 1, bands + 1), by the name of their list.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import (
    ATTRIBUTES,
    CLASS_NAMES,
    GROUP_NAMES,
    UNKNOWN_GROUP,
    Attribute,
    known,
)
from face_analysis.reports.style import figure_text, section
from face_analysis.reports.tables import table_cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Counts = Mapping[str, NDArray[np.int64]]
Labels = Mapping[str, NDArray[np.int64]]
"""The labels (N,) of one attribute, by the name of their list."""
RACES, GENDERS, BANDS = ((*GROUP_NAMES[name], UNKNOWN_GROUP) for name in ATTRIBUTES)


def counts_csv(counts: Counts) -> str:
    """A row `list,race,gender,age,images` for each combination, those without images too."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["list", "race", "gender", "age", "images"])
    for name, table in counts.items():
        for (race, gender, band), images in np.ndenumerate(table):
            writer.writerow([table_cell(name), RACES[race], GENDERS[gender], BANDS[band], images])
    return text.getvalue()


def counts_markdown(counts: Counts) -> str:
    """A section a list: a row for each race and gender, a column for each band, and the sums."""
    lines: list[str] = []
    for name, table in counts.items():
        rows, bands = _shown(table)
        cells = [[*_sums(table[race, gender, bands])] for race, gender in rows]
        body = [[RACES[r], GENDERS[g], *own] for (r, g), own in zip(rows, cells, strict=True)]
        body.append(["all", "", *_sums(table[:, :, bands].sum(axis=(0, 1)))])
        heads = ["race", "gender", *(BANDS[band] for band in bands), "all"]
        lines += section(f"{name}: {table.sum()} images", heads, body)
    return "\n".join(lines).strip("\n")


def labels_csv(attribute: Attribute, labels: Labels) -> str:
    """A row `list,<attribute>,images` for each label that is there, in the order of the codes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["list", attribute, "images"])
    for name, values in labels.items():
        writer.writerows([table_cell(name), code, images] for code, images in _tallied(values))
    return text.getvalue()


def labels_markdown(attribute: Attribute, labels: Labels) -> str:
    """A section a list: each label that is there, its name where it has one, and how many images have it."""
    names = CLASS_NAMES.get(attribute)
    lines: list[str] = []
    for name, values in labels.items():
        body = []
        for code, images in _tallied(values):
            inside = bool(known(attribute, np.array([code]))[0])
            meaning = UNKNOWN_GROUP if not inside else names[code] if names else "years"
            body.append([str(code), meaning, str(images)])
        lines += section(f"{name}: {len(values)} images", [attribute, "", "images"], body)
    return "\n".join(lines).strip("\n")


def _tallied(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    codes, images = np.unique(values, return_counts=True)
    return list(zip(codes.tolist(), images.tolist(), strict=True))


def counts_figure(counts: Counts) -> Figure:
    """A panel a list: races and genders by bands of age, each field with its number of images."""
    from matplotlib.figure import Figure

    heights = [2.0 + 0.34 * len(_shown(table)[0]) for table in counts.values()]
    figure = Figure(figsize=(9.5, sum(heights)), layout="constrained")
    panels = figure.subplots(len(counts), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, table) in zip(panels, counts.items(), strict=True):
        _panel(axes, table)
        axes.set_title(f"{figure_text(name)}, n = {table.sum()}")
    return figure


def _panel(axes: Axes, table: NDArray[np.int64]) -> None:
    from matplotlib.colors import LogNorm

    rows, bands = _shown(table)
    images = np.array([table[race, gender, bands] for race, gender in rows])
    norm = LogNorm(1, max(2, images.max()))
    mesh = axes.imshow(np.ma.masked_equal(images, 0), cmap="cividis", norm=norm, aspect="auto")
    axes.set_facecolor("0.88")
    for (row, column), number in np.ndenumerate(images):
        dark = number > 0 and norm(number) < 0.55
        axes.text(column, row, str(number), ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(bands)), [BANDS[band] for band in bands])
    axes.set_yticks(range(len(rows)), [f"{RACES[race]}, {GENDERS[gender]}" for race, gender in rows])
    axes.set(xlabel="Age (years)", ylabel="Race and gender (as perceived)")
    axes.figure.colorbar(mesh, ax=axes, label="Images (logarithmic)", format="%d").minorticks_off()


def _shown(table: NDArray[np.int64]) -> tuple[list[tuple[int, int]], list[int]]:
    """Pairs of race and gender, and bands: all known ones, and those unknown that have images."""
    last = tuple(size - 1 for size in table.shape)
    by_pair, by_band = table.sum(axis=2), table.sum(axis=(0, 1))
    pairs = [
        (race, gender)
        for race, gender in np.ndindex(*by_pair.shape)
        if by_pair[race, gender] or (race < last[0] and gender < last[1])
    ]
    return pairs, [band for band in range(len(by_band)) if by_band[band] or band < last[2]]


def _sums(numbers: NDArray[np.int64]) -> list[str]:
    return [str(number) for number in (*numbers.tolist(), int(numbers.sum()))]
