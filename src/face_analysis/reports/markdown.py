"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a heading of level 2, and a table under it."""
    yield from ("", f"## {title}", "")
    yield _line(heads)
    yield _line(["---"] * len(heads))
    yield from map(_line, rows)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
