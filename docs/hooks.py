"""What the site has beside docs/: results, changelog, notebooks, and the help of every command.

The links of a page are those of the repository, so that they work there too. Here they become links of the
site.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
from contextlib import redirect_stdout, suppress
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from face_analysis.cli.commands import COMMANDS, GROUPS, OPTIONS
from face_analysis.cli.main import run

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")
BESIDE = ("results/**/*.*", "examples/*.ipynb", "CHANGELOG.md")
"""Files of the repository that are in the site too, at the same paths."""
COLUMNS = "96"
"""Characters on a line of the help; a screen of 1280 pixels has room for these."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside docs/, and a page of commands for each group."""
    for path in sorted(path for pattern in BESIDE for path in ROOT.glob(pattern)):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    os.environ["COLUMNS"] = COLUMNS
    for group, commands in GROUPS.items():
        name = f"reference/commands/{group.lower().replace(' ', '_')}.md"
        parts = [f"# Commands: {group.lower()}", *map(help_of, commands)]
        files.append(File.generated(config, name, content="\n\n".join(parts)))
    return files


def help_of(command: str) -> str:
    """A section that shows what `--help` prints for a command, or for each of its actions."""
    parts = [f"## {command}\n\n{COMMANDS[command][0].upper()}{COMMANDS[command][1:]}."]
    for name in OPTIONS:
        if name.split()[0] == command:
            printed = io.StringIO()
            with redirect_stdout(printed), suppress(SystemExit):
                run([*name.split(), "--help"])
            heading = f"### {name}\n\n" if name != command else ""
            parts.append(f"{heading}```text\n{printed.getvalue().rstrip()}\n```")
    return "\n\n".join(parts)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change links of the repository into links of the site."""
    here = page.file.src_uri
    in_docs = (ROOT / "docs" / here).is_file()
    folder = posixpath.dirname(f"docs/{here}" if in_docs else here)

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1])).removeprefix("docs/")
        return posixpath.relpath(target, posixpath.dirname(here) or ".")

    return LINK.sub(moved, markdown)
