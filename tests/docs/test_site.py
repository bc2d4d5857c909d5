"""The site is built strictly, holds what is made from the code, and loads nothing from a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import face_analysis
from face_analysis.cli.commands import COMMANDS, OPTIONS
from tests.docs.markdown import ROOT
from tests.reports.browser import CHROMIUM, WIDTHS, needs_chromium

LOADED = re.compile(r"<(?:script|img|iframe|link)[^>]*?(?:src|href)=[\"']?(https?:|//)[^>]*>")
LOOKED_AT = ("", "guides/training/", "reference/api/", "reference/commands/matching/", "demographics/")
LOOK = """
<body><script>
const found = {}, pages = %s, widths = %s;
for (const page of pages) for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:4000px;border:0`;
  frame.src = `${page}index.html`;
  frame.onload = () => {
    const shown = frame.contentDocument;
    const broken = [...shown.images].filter(image => !image.complete || !image.naturalWidth).length;
    found[`${page} ${width}`] = {too_wide: shown.documentElement.scrollWidth > width, broken};
    document.title = JSON.stringify(found);
  };
  document.body.append(frame);
}
</script></body>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_reference_has_every_public_name(site: Path) -> None:
    anchors = set(re.findall(r'id="face_analysis\.(\w+)"', (site / "reference/api/index.html").read_text()))
    assert set(face_analysis.__all__) - anchors == set()


def test_the_reference_has_every_command_and_its_options(site: Path) -> None:
    pages = "".join(page.read_text() for page in (site / "reference/commands").rglob("*.html"))
    shown = {re.sub(r"[\s\[].*", "", line) for line in re.findall(r"usage: face-analysis ([\w ]+)", pages)}
    assert set(COMMANDS) - shown == set()
    actions = {name for name in OPTIONS if " " in name}
    assert {name for name in actions if f"usage: face-analysis {name}" not in pages} == set()


def test_pages_load_nothing_from_a_network(site: Path) -> None:
    wrong = {
        match[0]
        for page in site.rglob("*.html")
        for match in LOADED.finditer(page.read_text())
        if 'rel="canonical"' not in match[0]
    }
    assert wrong == set()


def test_the_index_of_the_search_is_local_and_holds_pages_and_names(site: Path) -> None:
    found = {
        entry["location"] for entry in json.loads((site / "search/search_index.json").read_text())["docs"]
    }
    assert {"guides/matching/#search-a-gallery", "reference/api/#face_analysis.compare"} <= found


@needs_chromium
def test_pages_fit_a_laptop_and_a_phone_and_show_their_pictures(site: Path, tmp_path: Path) -> None:
    frames = site / "frames.html"
    frames.write_text(LOOK % (json.dumps(LOOKED_AT), json.dumps(WIDTHS)))
    assert CHROMIUM is not None
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    words += ["--virtual-time-budget=10000", "--dump-dom", f"--user-data-dir={tmp_path}", frames.as_uri()]
    done = subprocess.run([CHROMIUM, *words], capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    found = json.loads(title[1])
    assert set(found) == {f"{page} {width}" for page in LOOKED_AT for width in WIDTHS}
    assert {name for name, seen in found.items() if seen["too_wide"] or seen["broken"]} == set()
