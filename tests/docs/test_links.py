"""Links between the Markdown files of the repository, and the pages that the code names, are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import FILES, ROOT

PAGES = [
    *FILES,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")),
    *ROOT.glob("results/**/*.md"),
]
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and the site give to the headings of a page, and to names of the API."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r"^::: (\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(file: Path) -> None:
    text = CODE.sub("", file.read_text(encoding="utf-8"))
    wrong = []
    for path, anchor in LINK.findall(text):
        target = file.parent / path if path else file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(f"{path}#{anchor}")
    assert wrong == []


def test_pages_that_the_code_names_are_there() -> None:
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("recipes/*"), *ROOT.glob("tests/**/*.py")]
    named = {name for file in files for name in re.findall(r"docs/[a-z_/]+\.md", file.read_text("utf-8"))}
    assert {name for name in named if not (ROOT / name).exists()} == set()
