"""The Markdown of a report as one HTML page, with its figures in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_analysis.reports.page import Picture, Table, base64_text, render

PAGE = "report.html"
_IMAGE = re.compile(r"!\[(.*)\]\((.*)\)")


@dataclass(frozen=True)
class Part:
    """A part of a page: text for a heading or a paragraph, a Table or a Picture."""

    kind: Literal["heading", "paragraph", "table", "picture"]
    content: str | Table | Picture


def markdown_page(text: str, folder: Path) -> str:
    """The page of a report that this package wrote as Markdown; its figures are files in `folder`.

    The first line is the title. Of Markdown it knows what reports have: headings of level 2, paragraphs,
    tables and images, each image on a line of its own.
    """
    first, _, rest = text.partition("\n")
    return render("report.html.j2", title=first.removeprefix("# "), parts=list(_parts(rest, folder)))


def _parts(text: str, folder: Path) -> Iterator[Part]:
    for block in re.split(r"\n{2,}", text.strip()):
        lines = block.splitlines()
        if lines[0].startswith("## "):
            yield Part("heading", lines.pop(0).removeprefix("## "))
        if not lines:
            continue
        if lines[0].startswith("|"):
            heads, _, *rows = (_cells(line) for line in lines)
            yield Part("table", Table(heads, rows))
        elif images := [_IMAGE.fullmatch(line) for line in lines if _IMAGE.fullmatch(line)]:
            for image in images:
                assert image is not None
                data = base64_text((folder / image[2]).read_bytes())
                yield Part("picture", Picture(image[1].capitalize(), "", data))
        else:
            yield from (Part("paragraph", line) for line in lines)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]
