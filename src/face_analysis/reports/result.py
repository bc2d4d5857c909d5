"""What a call from Python gives: a summary in words, tables, figures; a notebook shows all of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from face_analysis.frames import data_frame
from face_analysis.reports.page import Table, base64_text
from face_analysis.reports.style import PERCEIVED, figure_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


TEXT_COLUMNS = frozenset(
    [
        "attribute",
        "first",
        "gallery",
        "gallery_subject",
        "group",
        "grouping",
        "kind",
        "label",
        "list",
        "measure",
        "path",
        "probe",
        "probe_subject",
        "reason",
        "second",
        "set",
        "subject",
        "what",
    ]
)
"""Columns of names: one that is written in digits is still a name."""


class TableRows(NamedTuple):
    """A table as its CSV file has it: the header, and the rows."""

    header: Sequence[str]
    rows: Iterable[Sequence[object]]


class Result(ABC):
    """Base of what `match`, `search`, `audit` and the evaluations give."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is about, in a few words."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What was found, in words, as the command prints it."""

    @abstractmethod
    def table_rows(self) -> Mapping[str, TableRows]:
        """The tables by name, as the command writes them."""

    @abstractmethod
    def shown_tables(self) -> Mapping[str, Table]:
        """The tables that a reader sees first, by their titles."""

    def figures(self) -> Mapping[str, Figure]:
        """The figures by name, as matplotlib has them; none where there is nothing to draw."""
        return {}

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, each a DataFrame; numbers are numbers. Raises MissingPackageError."""
        return {name: _frame(table) for name, table in self.table_rows().items()}

    def __str__(self) -> str:
        return self.summary

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        parts = [f"<h3>{escape(self.title)}</h3>", f"<p><em>{PERCEIVED}</em></p>"]
        for title, table in self.shown_tables().items():
            parts += [f"<h4>{escape(title)}</h4>", _html_table(table)]
        with figure_style():
            for name, figure in self.figures().items():
                data = BytesIO()
                figure.savefig(data, format="png", dpi=80)
                text = base64_text(data.getvalue())
                parts.append(f'<img alt="{escape(name)}" src="data:image/png;base64,{text}">')
        return "\n".join(parts)


def _frame(table: TableRows) -> pd.DataFrame:
    rows = list(table.rows)
    columns = {
        name: [row[place] if name in TEXT_COLUMNS else _number(row[place]) for row in rows]
        for place, name in enumerate(table.header)
    }
    return data_frame("a table of a result", columns)


def _number(cell: object) -> object:
    """The number that a text is, where it is one."""
    if not isinstance(cell, str):
        return cell
    try:
        return float(cell)
    except ValueError:
        return cell


def _html_table(table: Table) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in table.heads)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
