"""How easy documents and docstrings are to read: words of a sentence, long sentences, Flesch reading ease.

Flesch reading ease (1948) is 206.8 - 1.015 x words of a sentence - 84.6 x syllables of a word: 30 to 50 is
hard, 60 to 70 plain English. Code, tables and headings are left out. With `--before PATH`, an older checkout
of the project, its values stand beside.

python -m benchmarks.readability
"""

from __future__ import annotations

import argparse
import ast
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import textstat

CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
NOT_PROSE = re.compile(
    r"^( {4}(face-analysis|python|make|pip) .*|\s*\|.*|#.*|!\[.*|::: .*|<.*)$", re.MULTILINE
)
ITEM = re.compile(r"^\s*([-*]|\d+\.) ", re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
DOCTEST = re.compile(r"^ *>>>.*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
PUBLIC = (
    "types.py",
    "api",
    "images/align.py",
    "inference/analyzer.py",
    "inference/photos.py",
    "matching/features/feature_set.py",
    "training/options.py",
)
"""Where the names of `face_analysis.__all__` are defined."""
LONG = 25
HEADER = ("text", "version", "words", "sentences", "words_per_sentence", "over_25_words_percent", "flesch")
SECTION = re.compile(r"^ *[A-Z][a-z]+:$", re.MULTILINE)


def prose(markdown: str) -> str:
    """The sentences of a page, a paragraph or an item of a list each on a line."""
    text = NOT_PROSE.sub("", CODE.sub("", markdown))
    return _paragraphs(ITEM.sub("\n\n", LINK.sub(r"\1", text)))


def docstrings(file: Path) -> Iterator[str]:
    """The sentences of each docstring of a module that is public, its classes and functions included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            name = "" if isinstance(node, ast.Module) else node.name
            if not name.startswith("_") and (text := ast.get_docstring(node)):
                text = SECTION.sub("\n", DOCTEST.sub("", text))
                yield _paragraphs(re.sub(r"\n {4,8}(?=\w+: )", "\n\n", text))


def _paragraphs(text: str) -> str:
    """Each paragraph on one line, ended by a full stop; what stands between backticks is read as a word."""
    found = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    plain = (re.sub(r"`[^`]*`", "code", part).replace("**", "") for part in found)
    return "\n".join(part if part[-1] in ".:?!" else f"{part}." for part in plain if part)


def texts(checkout: Path) -> dict[str, str]:
    """The sentences of README.md, of docs/ and of the docstrings of a checkout."""
    pages = sorted((checkout / "docs").rglob("*.md"))
    package = checkout / "src" / "face_analysis"
    modules = {file: "\n".join(docstrings(file)) for file in sorted(package.rglob("*.py"))}
    public = [
        text for file, text in modules.items() if file.relative_to(package).as_posix().startswith(PUBLIC)
    ]
    return {
        "README.md": prose((checkout / "README.md").read_text(encoding="utf-8")),
        "docs": "\n".join(prose(page.read_text(encoding="utf-8")) for page in pages),
        "docstrings of the public API": "\n".join(public),
        "all public docstrings": "\n".join(modules.values()),
    }


def measures(text: str) -> tuple[float, ...]:
    """The values of a row, from `words` on."""
    sentences = [part for part in re.split(r"(?<=[.?!])\s+|\n", text) if part]
    long = sum(len(sentence.split()) > LONG for sentence in sentences)
    return (
        textstat.lexicon_count(text),
        len(sentences),
        round(textstat.lexicon_count(text) / len(sentences), 1),
        round(100 * long / len(sentences), 1),
        round(textstat.flesch_reading_ease(text), 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, help="an older checkout")
    parser.add_argument("--output", type=Path, default=Path("results/readability.csv"))
    options = parser.parse_args()
    checkouts = {"before": options.before, "now": Path(__file__).parents[1]}
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for version, checkout in checkouts.items():
            for name, text in texts(checkout).items() if checkout else ():
                row = (name, version, *measures(text))
                writer.writerow(row)
                print(*row, sep=",")


if __name__ == "__main__":
    main()
