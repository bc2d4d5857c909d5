from __future__ import annotations

import base64
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_analysis.auditing.images import AuditedImages
from face_analysis.auditing.report import AuditReport, audit
from face_analysis.auditing.scan import ScanSettings, scan
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.sources import FolderSource
from face_analysis.reports import audit as audit_report
from face_analysis.reports import page

EVIL = "<script>alert(1)<"  # a file of this name can exist: it has no slash


class Parsed(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def report_of(folder: Path, copies: int, groups: int = 1) -> AuditReport:
    """Groups of as many copies each, in one list, every copy with another age."""
    names = []
    for group in range(groups):
        pixels = np.random.default_rng(group).integers(0, 256, (14, 14, 3), np.uint8)
        picture = Image.fromarray(pixels).resize((300, 150), Image.Resampling.BICUBIC)
        for copy in range(copies):
            names.append(f"{EVIL}{group}_{copy}.png")
            picture.save(folder / names[-1])
    labels = {"age": np.arange(len(names)) % 100}
    source = FolderSource(ImageList(folder / "list.txt", names, labels), folder)
    images = AuditedImages(("list",), (source,))
    *_, found = scan(images, ScanSettings(), workers=1)
    return audit(images, found, 0.9)


def test_pages_are_whole_and_fetch_nothing(tmp_path: Path) -> None:
    parsed = Parsed(audit_report.audit_page(report_of(tmp_path, copies=3)))
    assert parsed.open == []
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in parsed.tags
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    sources = [attributes["src"] for tag, attributes in parsed.tags if tag == "img"]
    assert len(sources) == 6  # among the contradictions, and among the copies
    for source in sources:
        assert source is not None
        kind, _, data = source.partition(",")
        assert kind == "data:image/jpeg;base64"
        assert Image.open(BytesIO(base64.b64decode(data))).size == (page.SIDE, page.SIDE // 2)


def test_names_are_text_whatever_is_in_them(tmp_path: Path) -> None:
    parsed = Parsed(audit_report.audit_page(report_of(tmp_path, copies=2)))
    assert f"{EVIL}0_1.png" in parsed.words


def test_what_is_not_shown_is_said(tmp_path: Path) -> None:
    many = audit_report.MOST_PICTURES + 3
    words = Parsed(audit_report.audit_page(report_of(tmp_path, copies=many))).words
    assert f"{audit_report.MOST_PICTURES} of {many} images" in words


def test_groups_beyond_the_limit_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_report, "MOST_GROUPS", 2)
    words = Parsed(audit_report.audit_page(report_of(tmp_path, copies=2, groups=4))).words
    assert "4 found; the first 2 are shown" in words


def test_an_image_that_has_gone_is_left_blank(tmp_path: Path) -> None:
    report = report_of(tmp_path, copies=2)
    (tmp_path / f"{EVIL}0_0.png").unlink()
    parsed = Parsed(audit_report.audit_page(report))
    assert sum(tag == "img" for tag, _ in parsed.tags) == 2
    assert f"{EVIL}0_0.png" in parsed.words
