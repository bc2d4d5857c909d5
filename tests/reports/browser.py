"""A page as Chromium shows it in frames of several widths."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (1280, 390)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
LOOK = """
<body><script>
const found = {};
for (const width of %s) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:4000px;border:0`;
  frame.src = "report.html";
  frame.onload = () => {
    const page = frame.contentDocument, images = [...page.images];
    found[width] = {
      page: page.documentElement.scrollWidth,
      images: images.length,
      broken: images.filter(image => !image.complete || !image.naturalWidth).length,
      widest: Math.max(...images.map(image => image.getBoundingClientRect().right)),
      tables: [...page.querySelectorAll("table")].map(table => {
        const box = table.closest(".wide");
        const scrolls = frame.contentWindow.getComputedStyle(box).overflowX === "auto";
        const whole = scrolls || table.scrollWidth <= box.clientWidth;
        return {right: box.getBoundingClientRect().right, whole};
      }),
    };
    document.title = JSON.stringify(found);
  };
  document.body.append(frame);
}
</script></body>
"""


def assert_shown_whole(page: Path, images: int, tables: int) -> None:
    """The page `report.html` has so many images and tables, none cut off, and no error in its console."""
    frames = page.with_name("frames.html")
    frames.write_text(LOOK % json.dumps(WIDTHS))
    assert CHROMIUM is not None
    told = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    told += ["--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    done = subprocess.run(
        [CHROMIUM, *told, profile, frames.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    found: dict[str, dict[str, Any]] = json.loads(title[1])
    for width in WIDTHS:
        seen = found[str(width)]
        assert seen["page"] <= width
        assert seen["images"] == images
        assert seen["broken"] == 0
        assert seen["widest"] <= width
        assert len(seen["tables"]) == tables
        assert all(table["whole"] and table["right"] <= width for table in seen["tables"])
