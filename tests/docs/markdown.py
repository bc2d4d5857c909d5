"""The command lines and Python blocks of Markdown files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SHELL, PYTHON = {"", "bash", "sh", "shell", "console"}, {"python"}
FENCE = re.compile(r" *```+ *(\w*)")
INDENTED = re.compile(r" {4}(?=face-analysis|python|make |pip )")
SPAN = re.compile(r"(?<!`)`(face-analysis [^`]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """Lines that belong together: the first line's number, whether they are Python, and the text."""

    file: Path
    line: int
    python: bool
    text: str

    @property
    def commands(self) -> Iterator[tuple[int, str]]:
        """Each command line with its number; lines that end in a backslash are one."""
        held, start = "", 0
        for number, line in enumerate(self.text.splitlines(), self.line):
            start = start if held else number
            held += line.removesuffix("\\")
            if line.endswith("\\"):
                continue
            if held.strip():
                yield start, held.strip()
            held = ""


def blocks_of(file: Path) -> Iterator[Block]:
    """The blocks of commands and of Python: fenced ones, and indented ones that begin with a command."""
    language, start, held = None, 0, []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if fence and language is None:
            language, start, held = fence[1], number + 1, []
        elif fence:
            if language in SHELL | PYTHON:
                yield Block(file, start, language in PYTHON, "\n".join(held))
            language = None
        elif language is not None:
            held.append(line)
        elif INDENTED.match(line):
            yield Block(file, number, False, line.strip())


def spans_of(file: Path) -> Iterator[tuple[int, str]]:
    """Commands between backticks in the text, with their lines."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        for match in SPAN.finditer(line):
            yield number, match[1]
