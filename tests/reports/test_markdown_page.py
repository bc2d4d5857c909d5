"""The pages of `evaluate` and `calibrate`: all that their Markdown says, as a browser shows it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_analysis.datasets.attributes import Attribute
from face_analysis.evaluation.attributes_by_group import evaluate
from face_analysis.evaluation.verification import verify_pairs
from face_analysis.reports.attributes.report import write_report
from face_analysis.reports.markdown_page import markdown_page
from face_analysis.reports.verification import write_verification
from tests.reports.browser import assert_shown_whole, needs_chromium


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = np.random.default_rng(0)
    labels: dict[Attribute, Any] = {
        "race": chance.integers(0, 5, 300),
        "gender": chance.integers(0, 2, 300),
        "age": chance.integers(0, 101, 300),
    }
    predictions = {name: np.roll(values, 1) for name, values in labels.items()}
    folder = tmp_path_factory.mktemp("attributes")
    write_report(evaluate(labels, predictions), labels, predictions, folder)
    return folder


@pytest.fixture(scope="module")
def verification(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = np.random.default_rng(0)
    same = chance.integers(0, 2, 400).astype(bool)
    scores = np.clip(chance.normal(0.2 + 0.5 * same, 0.2), -1, 1)
    report = verify_pairs("lfw", scores, same, np.arange(400) % 10, images=800)
    folder = tmp_path_factory.mktemp("verification")
    write_verification([report], folder, threshold=0.4)
    return folder


PAGES = {"attributes": "metrics.md", "verification": "verification.md"}


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_says_all_that_the_markdown_says(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    text, page = (folder / PAGES[kind]).read_text(), (folder / "report.html").read_text()
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]))
    shown = shown.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&").replace("&#39;", "'")
    for line in text.splitlines():
        if set(line) <= set("|- ") or line.startswith("!["):
            continue
        for cell in line.lstrip("#").strip(" |").split(" | "):
            assert cell.strip() in shown, f"{cell!r} of {line!r}"
    assert page.count("data:image/png;base64,") == len(list(folder.glob("*.png"))) > 0
    assert "http" not in page


@needs_chromium
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_fits_a_desktop_and_a_telephone(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page: Path = tmp_path / "report.html"
    shutil.copy(request.getfixturevalue(kind) / "report.html", page)
    text = page.read_text()
    assert_shown_whole(page, images=text.count("<img "), tables=text.count("<table>"))


def test_names_are_text_whatever_is_in_them(tmp_path: Path) -> None:
    text = "# A <b>\n\nSaid of <script>.\n\n## T & U\n\n| a | b |\n| --- | --- |\n| <i> |  |\n"
    page = markdown_page(text, tmp_path)
    assert "<script>" not in page
    assert "<h1>A &lt;b&gt;</h1>" in page
    assert "<h2>T &amp; U</h2>" in page
    assert "<td>&lt;i&gt;</td><td></td>" in page
