"""Rows of CSV files and workbooks, as texts, within bounds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from xml.etree.ElementTree import ParseError

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from apps.register.papers.guards import File
from apps.register.papers.refusals import BadPaper

MAX_ROWS = 200_000
MAX_COLUMNS = 200
MAX_CELL = 2**20
_DELIMITERS = ",;\t|"
# Python's own limit of 128 KB a cell is less than a long description of an export; the file's size is bounded anyway.
csv.field_size_limit(MAX_CELL)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of cells; ``line`` is where it begins, from 1, and ``sheet`` is empty for CSV."""

    line: int
    cells: tuple[str, ...]
    sheet: str = ""


def rows(file: File) -> Iterator[Row]:
    """All rows with something in them, sheet by sheet.

    Raises:
        BadPaper: if it is cut off or past the bounds.
    """
    for number, row in enumerate(_csv(file.text) if file.kind == "csv" else _xlsx(file.data), start=1):
        if number > MAX_ROWS:
            raise BadPaper(f"The table has more than {MAX_ROWS:,} rows.")
        yield row


def _csv(text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    line = 1
    try:
        for cells in reader:
            if len(cells) > MAX_COLUMNS:
                raise BadPaper(f"Line {line}: more than {MAX_COLUMNS} columns.")
            if any(cell.strip() for cell in cells):
                yield Row(line, tuple(cells))
            line = reader.line_num + 1
    except csv.Error as error:
        words = "a quoted cell never ends; the file may be cut off" if "end of data" in str(error) else str(error)
        raise BadPaper(f"Line {line}: {words}.") from error


def _delimiter(text: str) -> str:
    """What parts the cells: by whichever the first row has the most."""
    counts = {}
    for mark in _DELIMITERS:
        try:
            counts[mark] = len(next(csv.reader(io.StringIO(text, newline=""), delimiter=mark), []))
        except csv.Error:
            counts[mark] = 0
    return max(counts, key=lambda mark: counts[mark])


def _xlsx(data: bytes) -> Iterator[Row]:
    """Cells as they are shown in a spreadsheet's memory: of formulas the last result, of links their words."""
    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            found = sheet.iter_rows(max_col=MAX_COLUMNS, max_row=MAX_ROWS + 1, values_only=True)
            for line, values in enumerate(found, start=1):
                if line > MAX_ROWS:
                    raise BadPaper(f"The sheet {sheet.title} has more than {MAX_ROWS:,} rows.")
                cells = tuple(cell_text(value) for value in values)
                if any(cell.strip() for cell in cells):
                    yield Row(line, cells, sheet.title)
        book.close()
    except (InvalidFileException, ParseError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        # The library raises whatever its parsing of a malformed part happens to run into.
        raise BadPaper("The workbook is damaged.") from error


def cell_text(value: Any) -> str:
    """A cell's value as a text; whole numbers without a point, dates in ISO."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    return value.isoformat() if isinstance(value, (date, time)) else str(value)
