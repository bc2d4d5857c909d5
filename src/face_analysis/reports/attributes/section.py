"""What `evaluate` wrote about predicted attributes, for the page of a match."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from face_analysis.errors import MissingFileError, PackedFileError
from face_analysis.evaluation.intervals import Estimate
from face_analysis.reports.attributes.figures import FIGURE_NAMES
from face_analysis.reports.attributes.files import JSON_NAME
from face_analysis.reports.measure_text import MEASURES
from face_analysis.reports.page import Picture, Table, base64_text


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
