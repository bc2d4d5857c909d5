"""What an audit found: tables of what is wrong, lists without it, and one HTML page of the pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from face_analysis.auditing.labels import Cleaning
from face_analysis.auditing.report import AuditReport
from face_analysis.datasets.attributes import CLASS_NAMES
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.lists.writers import write_image_list
from face_analysis.errors import UnreadableImageError
from face_analysis.files import write_csv
from face_analysis.images.decode import decode
from face_analysis.reports.page import Table, render, thumbnail
from face_analysis.reports.result import TableRows
from face_analysis.reports.tables import write_table

EXACT_TABLES = ("copies", "groups")
"""These are read by programs: their cells are written as they are."""
MOST_GROUPS, MOST_PICTURES = 100, 8
"""PictureGroup of each kind of finding, and of each group; the page says how many there are."""


def write_tables(report: AuditReport, folder: Path) -> None:
    """Write the CSV files of docs/guides/audit.md; copies and groups exactly. Raises WriteError."""
    (folder / "faces.csv").unlink(missing_ok=True)
    for name, table in audit_tables(report).items():
        write = write_csv if name in EXACT_TABLES else write_table
        write(folder / f"{name}.csv", *table)


def audit_tables(report: AuditReport) -> dict[str, TableRows]:
    """The tables of docs/guides/audit.md by name; `faces` is there where faces were counted."""
    images = report.images

    def named(row: int) -> tuple[str, str]:
        return images.list_name(row), images.path(row)

    copies = [(number, copy) for number, group in enumerate(report.groups) for copy in group]
    tables = {
        "unreadable": TableRows(
            ("list", "path", "reason"),
            [(*named(row), reason) for row, reason in sorted(report.scan.reasons.items())],
        ),
        "copies": TableRows(
            ("group", "list", "path", "kind", "similarity"),
            [(number, *named(copy.row), copy.kind, f"{copy.similarity:.3f}") for number, copy in copies],
        ),
        "groups": TableRows(
            ("group", "path"), sorted({(number, images.path(copy.row)) for number, copy in copies})
        ),
        "contradictions": TableRows(
            ("group", "attribute", "list", "path", "value"),
            [
                (one.group, one.attribute, *named(row), value)
                for one in report.contradictions
                for row, value in one.values
            ],
        ),
        "leaks": TableRows(
            ("kind", "what", "list", "path"),
            [(leak.kind, leak.what, *named(row)) for leak in report.leaks for row in leak.rows],
        ),
        "counts": TableRows(("label", "value", *images.names), list(_label_counts(report))),
    }
    if report.scan.faces_counted:
        odd = np.flatnonzero((report.scan.faces == 0) | (report.scan.faces > 1)).tolist()
        rows = [(*named(row), int(report.scan.faces[row])) for row in odd]
        tables["faces"] = TableRows(("list", "path", "faces"), rows)
    return tables


def summary_table(report: AuditReport) -> Table:
    """How many images of each list have what wrong with them."""
    rows = [(what, *map(str, counts)) for what, counts in report.summary().items()]
    return Table(("", *report.images.names), rows)


def summary_text(report: AuditReport) -> str:
    """The same in columns of text."""
    table = summary_table(report)
    rows = [table.heads, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.heads))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


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


@dataclass(frozen=True)
class AuditPicture:
    """A picture of the page: JPEG in base 64 ("" where it cannot be read), and the words under it."""

    path: str
    note: str
    data: str


@dataclass(frozen=True)
class PictureGroup:
    """A group of pictures, of `total` images."""

    title: str
    pictures: list[AuditPicture]
    total: int


@dataclass(frozen=True)
class AuditSection:
    """One kind of finding, of which there are `total`."""

    title: str
    about: str
    groups: list[PictureGroup]
    total: int


def audit_page(report: AuditReport) -> str:
    """The page as HTML, with nothing to fetch from elsewhere; reads the pictures that it shows."""
    return render(
        "audit.html.j2",
        names=report.images.names,
        summary=report.summary(),
        sections=list(_sections(report)),
    )


def _sections(report: AuditReport) -> Iterator[AuditSection]:
    attributes_of: dict[int, list[str]] = defaultdict(list)
    for one in report.contradictions:
        attributes_of[one.group].append(one.attribute)
    yield _audit_section(
        report,
        "Contradicting labels",
        "Copies of one picture with different labels.",
        [
            (f"Group {number}: {', '.join(names)}", _rows(report, number))
            for number, names in attributes_of.items()
        ],
    )
    for kind, about in (
        ("picture", "Copies of one picture in several lists."),
        ("subject", "People whom several lists name."),
        ("lookalike", "Faces of different lists that may show one person; the number is their similarity."),
    ):
        found = [
            (f"{kind.capitalize()} {leak.what}", leak.rows) for leak in report.leaks if leak.kind == kind
        ]
        yield _audit_section(report, f"Shared between lists: {kind}s", about, found)
    yield _audit_section(
        report,
        "Copies",
        "Pictures that are there more than once.",
        [(f"Group {number}", _rows(report, number)) for number in range(len(report.groups))],
    )


def _rows(report: AuditReport, number: int) -> Sequence[int]:
    return [copy.row for copy in report.groups[number]]


def _audit_section(
    report: AuditReport, title: str, about: str, found: Sequence[tuple[str, Sequence[int]]]
) -> AuditSection:
    groups = [
        PictureGroup(name, [_picture(report, row) for row in rows[:MOST_PICTURES]], len(rows))
        for name, rows in found[:MOST_GROUPS]
    ]
    return AuditSection(title, about, groups, len(found))


def _picture(report: AuditReport, row: int) -> AuditPicture:
    images = report.images
    labels = [_label(name, int(values[row])) for name, values in report.labels.items() if values[row] >= 0]
    words = [images.list_name(row), *labels, *filter(None, [report.subjects[row]])]
    return AuditPicture(images.path(row), ", ".join(words), _thumbnail(report, row))


def _label(name: str, code: int) -> str:
    """Such as `female`, `age 30` or `class 7`."""
    names = dict(CLASS_NAMES).get(name, ())  # type: ignore[call-overload]
    return names[code] if code < len(names) else f"{name} {code}"


def _thumbnail(report: AuditReport, row: int) -> str:
    try:
        image = decode(report.images.read(row), report.images.path(row))
    except UnreadableImageError:
        return ""
    return thumbnail(image)
