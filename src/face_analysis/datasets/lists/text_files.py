"""Text and CSV as people and programs write them: any line end, any delimiter, with or without BOM."""

from __future__ import annotations

import codecs
import csv
import io
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from face_analysis.datasets.kinds import what_is
from face_analysis.errors import EmptyDataError, ListFormatError, MissingFileError, UsageError
from face_analysis.inputs import MAX_TEXT, check_input

if TYPE_CHECKING:
    from _csv import Reader

log = logging.getLogger(__name__)
BLANK = " \t"
_LINE_END = re.compile("\r\n|\r|\n")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
HEAD = 4096


def read_text(path: Path, what: str) -> str:
    """The text of a UTF-8 file, or of a UTF-16 one with a byte order mark; `what` is what errors call it.

    Names of files are bytes: those that are not UTF-8 come out as Python names such files, which is logged.
    Raises MissingFileError, EmptyDataError for a file without text, and UsageError for a folder, a pipe, more
    than MAX_TEXT bytes, and a file of another kind.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not the {what}; give the file")
    check_input(path, MAX_TEXT)
    try:
        with path.open("rb") as file:
            raw = file.read(HEAD)
            if _may_be_text(raw):  # before a large file of another kind is read
                raw += file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(path, what) from None
    text = _decoded(path, raw)
    if text is None:
        raise UsageError(f"{path} is {what_is(path)}, not the {what}, which is text")
    if not text.strip():
        raise EmptyDataError(f"{path}: the {what} is empty; give another")
    return text


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """The lines of a file as `split_lines` gives them. Raises as `read_text`."""
    return list(split_lines(read_text(path, what)))


def split_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text with their numbers from 1, without blanks at their ends; blank ones are skipped.

    A line ends in LF, CR LF or CR.
    """
    for number, line in enumerate(_LINE_END.split(text), 1):
        stripped = line.strip(BLANK)
        if stripped:
            yield number, stripped


def read_table(path: Path, what: str, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The line and the cells of `columns` of each row of a CSV file with a header; others are not read.

    Raises as `read_text`, and ListFormatError where a column or a cell is missing or a quote is not closed.
    """
    reader = csv_reader(read_text(path, what))
    try:
        header = [cell.strip() for cell in next(reader)]
        absent = [name for name in columns if name not in header]
        if absent:
            raise ListFormatError(path, 1, f"no column `{absent[0]}` among {','.join(header)[:80]}; add it")
        places = [header.index(name) for name in columns]
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) <= max(places):
                raise ListFormatError(
                    path, reader.line_num, f"cells are missing, {len(cells)} of {len(header)} are there"
                )
            yield reader.line_num, [cells[place] for place in places]
    except csv.Error as error:
        raise ListFormatError(path, reader.line_num, f"broken CSV ({error}); correct the quotes") from error


def csv_reader(text: str) -> Reader:
    """The rows of a CSV text; its delimiter is the comma, semicolon or tab that its first line has most."""
    first = _LINE_END.split(text, 1)[0]
    delimiter = max(",;\t", key=first.count)
    return csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)


def _may_be_text(raw: bytes) -> bool:
    return raw.startswith(_UTF_16) or b"\0" not in raw


def _decoded(path: Path, raw: bytes) -> str | None:
    """None where the bytes are no text."""
    try:
        if not _may_be_text(raw):
            return None
        if raw.startswith(_UTF_16):
            return raw.decode("utf-16")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(_LINE_END.split(raw[: error.start].decode("latin-1")))
        log.warning("%s:%d: not UTF-8; bytes are taken as they are, as names of files may be", path, line)
        return raw.decode("utf-8-sig", "surrogateescape")
