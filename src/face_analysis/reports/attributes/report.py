"""The report of an evaluation of attributes: its files, whole or not at all, and read again for a page."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import CLASS_NAMES, Attribute
from face_analysis.errors import MissingFileError, PackedFileError, WriteError
from face_analysis.evaluation.attributes import DECADES, AttributeMetrics, Measures
from face_analysis.evaluation.attributes_by_group import AttributeReport, EvaluationReport
from face_analysis.evaluation.intervals import LEVEL, RESAMPLES, Estimate
from face_analysis.json_files import json_text
from face_analysis.reports.attributes.figures import FIGURE_NAMES, write_figures
from face_analysis.reports.markdown_page import PAGE, markdown_page
from face_analysis.reports.page import Picture, Table, base64_text
from face_analysis.reports.result import TableRows
from face_analysis.reports.style import MEASURES, MEASURES_OF, PERCEIVED, RECALL, section

JSON_NAME = "metrics.json"
MARKDOWN_NAME = "metrics.md"


def write_report(
    report: EvaluationReport,
    labels: Mapping[Attribute, NDArray[np.integer]],
    predictions: Mapping[Attribute, NDArray[np.number]],
    folder: Path | str,
) -> list[Path]:
    """Write `metrics.json`, `metrics.md`, `report.html` and figures into a folder, made if absent.

    Returns the paths. `labels` and `predictions` are the arrays (N,) that `evaluate` measured. All files are
    made in a hidden folder inside, then renamed: an error leaves an earlier report as it was. Figures of an
    earlier report that this one lacks are removed. Raises WriteError.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as name:
            made = _make(report, labels, predictions, Path(name))
            written = [path.replace(folder / path.name) for path in made]
        for stale in set(FIGURE_NAMES) - {path.name for path in written}:
            (folder / stale).unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(folder, error) from error
    return written


def _make(
    report: EvaluationReport,
    labels: Mapping[Attribute, NDArray[np.integer]],
    predictions: Mapping[Attribute, NDArray[np.number]],
    folder: Path,
) -> list[Path]:
    figures = write_figures(report, labels, predictions, folder)
    text, numbers = folder / MARKDOWN_NAME, folder / JSON_NAME
    links = "".join(f"\n![{path.stem.replace('_', ' ')}]({path.name})\n" for path in figures)
    figures_text = f"\n## Figures\n{links}" if figures else ""
    markdown = attribute_markdown(report) + figures_text
    text.write_text(markdown, encoding="utf-8")
    page = folder / PAGE
    page.write_text(markdown_page(markdown, folder), encoding="utf-8")
    numbers.write_text(json_text(report.to_dict(), indent=1) + "\n", encoding="utf-8")
    return [*figures, text, numbers, page]


@dataclass(frozen=True)
class AttributeSection:
    """A table of the overall measures, and the figures that are there."""

    table: Table
    figures: list[Picture]


def read_attributes(folder: Path) -> AttributeSection:
    """Read `metrics.json` and the figures of a folder. Raises MissingFileError and PackedFileError."""
    path = folder / JSON_NAME
    if not path.is_file():
        raise MissingFileError(path, "measures of `evaluate`")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["attributes"]
        rows = [
            (attribute, MEASURES[key].heading, MEASURES[key].write(Estimate(**numbers)))
            for attribute, part in found.items()
            for key, numbers in part["overall"]["measures"].items()
            if numbers is not None and key in MEASURES
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackedFileError(
            f"{path}: not the measures of `evaluate` ({error}); run evaluate again"
        ) from error
    figures = [
        Picture(name.removesuffix(".png").replace("_", " ").capitalize(), "", base64_text(file.read_bytes()))
        for name in FIGURE_NAMES
        if (file := folder / name).is_file()
    ]
    return AttributeSection(Table(("attribute", "measure", "figure"), rows), figures)


def attribute_markdown(report: EvaluationReport) -> str:
    """The whole report: overall, confusion of each classification, age by decade, and tables by group.

    Every figure is written `value [low, high] (n = count)`: percent with one decimal, years with two.
    """
    return "\n".join([*_opening(report), *_overall(report), *_details(report), *_groups(report)]) + "\n"


def overall_table(report: EvaluationReport) -> str:
    """The overall measures alone."""
    return "\n".join(_overall(report))


def _opening(report: EvaluationReport) -> Iterator[str]:
    yield "# Evaluation of attributes"
    yield ""
    yield PERCEIVED
    yield ""
    yield (
        f"{report.images} images with labels and predictions; {report.missing} listed images without a "
        "prediction are left out."
    )
    yield (
        f"Brackets hold {LEVEL:.0%} intervals (percentile bootstrap over images, {RESAMPLES} resamples, seed "
        f"{report.seed}), n is the number of images behind a figure. With few images, or where every image "
        "agrees, the true interval is wider than the one shown."
    )


def _overall(report: EvaluationReport) -> Iterator[str]:
    table = measures_table(report)
    yield from section("Overall", table.heads, table.rows)


def measures_table(report: EvaluationReport) -> Table:
    """The overall measures of each attribute."""
    parts = [(str(name), part.overall) for name, part in report.attributes.items()]
    if report.age_count is not None:
        parts.append(("age, count decoding", report.age_count))
    rows = [
        [name, MEASURES[key].heading, MEASURES[key].write(part.measures.get(key)), str(part.unknown)]
        for name, part in parts
        for key in MEASURES_OF[part.attribute]
    ]
    return Table(("attribute", "measure", "figure", "left out: label unknown"), rows)


def measure_rows(report: EvaluationReport) -> TableRows:
    """Every measure of each attribute as a number: of all images (`grouping` is empty), and of each group."""
    rows: list[tuple[object, ...]] = []
    for attribute, part in report.attributes.items():
        of_groups = [
            (grouping, group, measures)
            for grouping, groups in part.groups.items()
            for group, measures in groups.items()
        ]
        for grouping, group, measures in (("", "", part.overall.measures), *of_groups):
            rows += [
                (attribute, grouping, group, measure, found.value, found.low, found.high, found.count)
                for measure, found in measures.items()
                if found is not None
            ]
    columns = ("attribute", "grouping", "group", "measure", "value", "low", "high", "count")
    return TableRows(columns, rows)


def _details(report: EvaluationReport) -> Iterator[str]:
    for part in report.attributes.values():
        yield from _decades(part.overall) if part.overall.attribute == "age" else _confusion(part.overall)


def _confusion(metrics: AttributeMetrics) -> Iterator[str]:
    if metrics.confusion is None:
        return
    names = CLASS_NAMES[metrics.attribute]
    rows = [
        [name, *(str(count) for count in counts), RECALL.write(metrics.recall.get(name))]
        for name, counts in zip(names, metrics.confusion.tolist(), strict=True)
    ]
    title = f"Confusion of {metrics.attribute} (images; row true, column predicted)"
    yield from section(title, ["true", *names, f"{RECALL.heading}"], rows)


def _decades(metrics: AttributeMetrics) -> Iterator[str]:
    mae = MEASURES["mae"]
    rows = [[name, mae.write(metrics.mae_by_decade.get(name))] for name in DECADES]
    yield from section("Age by decade of true age", ["true age (years)", mae.heading], rows)


def _groups(report: EvaluationReport) -> Iterator[str]:
    for attribute, part in report.attributes.items():
        for grouping, groups in part.groups.items():
            title = f"{attribute.capitalize()} by {grouping}"
            yield from _group_table(title, f"true {grouping}", part, groups)


def _group_table(title: str, first: str, part: AttributeReport, groups: dict[str, Measures]) -> Iterator[str]:
    keys = MEASURES_OF[part.overall.attribute]
    rows = [
        [name, *(MEASURES[key].write(measures.get(key)) for key in keys)]
        for name, measures in (*groups.items(), ("all", part.overall.measures))
    ]
    yield from section(title, [first, *(MEASURES[key].heading for key in keys)], rows)
