"""CSV tables of reports, which a spreadsheet opens without finding a formula in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from face_analysis.files import write_csv

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""By OWASP, "CSV injection"; the last four are the wide forms of the first."""


def write_table(path: Path | str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and rows as `write_csv` does, each cell as `table_cell` has it. Raises WriteError."""
    write_csv(path, [str(table_cell(name)) for name in header], ([*map(table_cell, row)] for row in rows))


def table_cell(cell: object) -> object:
    """The cell; text that begins like a formula, and is no number, after an apostrophe."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
