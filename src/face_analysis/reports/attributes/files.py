"""The files of an evaluation, written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import Attribute
from face_analysis.errors import WriteError
from face_analysis.evaluation.groups import EvaluationReport
from face_analysis.json_files import json_text
from face_analysis.reports.attributes.figures import FIGURE_NAMES, write_figures
from face_analysis.reports.attributes.tables import attribute_markdown

JSON_NAME = "metrics.json"
MARKDOWN_NAME = "metrics.md"


def write_report(
    report: EvaluationReport,
    labels: Mapping[Attribute, NDArray[np.integer]],
    predictions: Mapping[Attribute, NDArray[np.number]],
    folder: Path | str,
) -> list[Path]:
    """Write `metrics.json`, `metrics.md` and the figures into a folder, made if absent; returns their paths.

    `labels` and `predictions` are the arrays (N,) that `evaluate` measured. All files are made in a hidden
    folder inside, then renamed, so an error leaves an earlier report as it was; figures of an earlier report
    that this one lacks are removed. Raises WriteError.
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
    section = f"\n## Figures\n{links}" if figures else ""
    text.write_text(attribute_markdown(report) + section, encoding="utf-8")
    numbers.write_text(json_text(report.to_dict(), indent=1) + "\n", encoding="utf-8")
    return [*figures, text, numbers]
