"""The page of an audit: one HTML file with the pictures of each group side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from face_analysis.audit.report import AuditReport
from face_analysis.errors import UnreadableImageError
from face_analysis.images.decode import decode
from face_analysis.reports.page import render, thumbnail

MOST_GROUPS, MOST_PICTURES = 100, 8
"""Shown of each kind of finding, and of each group; the page says how many there are."""


@dataclass(frozen=True)
class Picture:
    """A picture of the page: JPEG in base 64 ("" where it cannot be read), and the words under it."""

    path: str
    note: str
    data: str


@dataclass(frozen=True)
class Shown:
    """A group of pictures, of `total` images."""

    title: str
    pictures: list[Picture]
    total: int


@dataclass(frozen=True)
class Section:
    """One kind of finding, of which there are `total`."""

    title: str
    about: str
    groups: list[Shown]
    total: int


def audit_page(report: AuditReport) -> str:
    """The page as HTML, with nothing to fetch from elsewhere; reads the pictures that it shows."""
    return render(
        "audit.html.j2",
        names=report.images.names,
        summary=report.summary(),
        sections=list(_sections(report)),
    )


def _sections(report: AuditReport) -> Iterator[Section]:
    torn: dict[int, list[str]] = defaultdict(list)
    for one in report.contradictions:
        torn[one.group].append(one.attribute)
    yield _section(
        report,
        "Contradicting labels",
        "Copies of one picture with different labels.",
        [(f"Group {number}: {', '.join(names)}", _rows(report, number)) for number, names in torn.items()],
    )
    for kind, about in (
        ("picture", "Copies of one picture in several lists."),
        ("subject", "People whom several lists name."),
        ("lookalike", "Faces of different lists that may show one person; the number is their similarity."),
    ):
        found = [
            (f"{kind.capitalize()} {leak.what}", leak.rows) for leak in report.leaks if leak.kind == kind
        ]
        yield _section(report, f"Shared between lists: {kind}s", about, found)
    yield _section(
        report,
        "Copies",
        "Pictures that are there more than once.",
        [(f"Group {number}", _rows(report, number)) for number in range(len(report.groups))],
    )


def _rows(report: AuditReport, number: int) -> Sequence[int]:
    return [copy.row for copy in report.groups[number]]


def _section(
    report: AuditReport, title: str, about: str, found: Sequence[tuple[str, Sequence[int]]]
) -> Section:
    groups = [
        Shown(name, [_picture(report, row) for row in rows[:MOST_PICTURES]], len(rows))
        for name, rows in found[:MOST_GROUPS]
    ]
    return Section(title, about, groups, len(found))


def _picture(report: AuditReport, row: int) -> Picture:
    images = report.images
    labels = [f"{name} {values[row]}" for name, values in report.labels.items() if values[row] >= 0]
    words = [images.list_name(row), *labels, *filter(None, [report.subjects[row]])]
    return Picture(images.path(row), ", ".join(words), _thumbnail(report, row))


def _thumbnail(report: AuditReport, row: int) -> str:
    try:
        image = decode(report.images.read(row), report.images.path(row))
    except UnreadableImageError:
        return ""
    return thumbnail(image)
