"""The files of an audit: tables of what is wrong, and lists without it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from face_analysis.audit.labels import Cleaning
from face_analysis.audit.report import AuditReport
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.lists.writer import write_image_list
from face_analysis.files import write_csv
from face_analysis.reports.tables import write_table


def write_tables(report: AuditReport, folder: Path) -> None:
    """Write the CSV files of docs/audit.md; copies and groups exactly. Raises WriteError."""
    images = report.images

    def named(row: int) -> tuple[str, str]:
        return images.list_name(row), images.path(row)

    write_table(
        folder / "unreadable.csv",
        ("list", "path", "reason"),
        ((*named(row), reason) for row, reason in sorted(report.scan.reasons.items())),
    )
    write_csv(
        folder / "copies.csv",
        ("group", "list", "path", "kind", "similarity"),
        (
            (number, *named(copy.row), copy.kind, f"{copy.similarity:.3f}")
            for number, group in enumerate(report.groups)
            for copy in group
        ),
    )
    write_csv(
        folder / "groups.csv",
        ("group", "path"),
        sorted(
            {(number, images.path(copy.row)) for number, group in enumerate(report.groups) for copy in group}
        ),
    )
    write_table(
        folder / "contradictions.csv",
        ("group", "attribute", "list", "path", "value"),
        (
            (one.group, one.attribute, *named(row), value)
            for one in report.contradictions
            for row, value in one.values
        ),
    )
    write_table(
        folder / "leaks.csv",
        ("kind", "what", "list", "path"),
        ((leak.kind, leak.what, *named(row)) for leak in report.leaks for row in leak.rows),
    )
    (folder / "faces.csv").unlink(missing_ok=True)
    if report.scan.faces_counted:
        odd = np.flatnonzero((report.scan.faces == 0) | (report.scan.faces > 1)).tolist()
        rows = ((*named(row), int(report.scan.faces[row])) for row in odd)
        write_table(folder / "faces.csv", ("list", "path", "faces"), rows)
    write_table(folder / "counts.csv", ("label", "value", *images.names), _label_counts(report))


def write_cleaned(report: AuditReport, cleaning: Cleaning, folder: Path) -> list[tuple[Path, int]]:
    """Write a list for each list, and `left_out.csv` with the reasons; gives paths and numbers of images.

    Raises WriteError.
    """
    images = report.images
    written = []
    for number, (name, source) in enumerate(zip(images.names, images.sources, strict=True)):
        rows = np.flatnonzero((images.part == number) & cleaning.kept).tolist()
        places = [images.place(row) for row in rows]
        labels = {key: cleaning.labels[key][rows] for key in source.labels if key in cleaning.labels}
        strings = {key: [cleaning.subjects[row] for row in rows] for key in source.strings}
        path = folder / f"{name}.csv"
        write_image_list(path, ImageList(path, [source.name(place) for place in places], labels, strings))
        written.append((path, len(rows)))
    reasons = cleaning.reasons | {
        row: f"a copy of {images.path(kept)}, which stays in {images.list_name(kept)}"
        for row, kept in cleaning.copy_of.items()
    }
    write_table(
        folder / "left_out.csv",
        ("list", "path", "reason"),
        ((images.list_name(row), images.path(row), why) for row, why in sorted(reasons.items())),
    )
    return written


def _label_counts(report: AuditReport) -> Iterable[tuple[str, int, Any]]:
    """A line a value of race, gender and age: how often each list has it."""
    lists = len(report.images.names)
    for name, values in report.labels.items():
        for value in np.unique(values).tolist() if name != "class" else ():
            counts = np.bincount(report.images.part[values == value], minlength=lists)
            yield (name, value, *counts.tolist())
