"""A workbook with a sheet for each kind of record, written row by row so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from apps.register.papers.cells import MAX_CELL, escaped
from apps.register.papers.records import COLUMNS, records
from apps.register.papers.shapes import Paper, PaperRisk
from apps.register.papers.tables import MORE, SHEETS

# An escaped character takes seven, so a piece of this length fits a cell in any case.
_PIECE = MAX_CELL // 7
_WIDE, _NARROW = 40, 16


def write_xlsx(head: Paper, risks: Iterable[PaperRisk], out: IO[bytes]) -> None:
    """Write an assessment with its risks, which may come one by one."""
    book = Workbook(write_only=True)
    sheets = {kind: _sheet(book, kind) for kind in COLUMNS}
    for record, values in records(head, risks):
        sheet = sheets[record]
        for row in _rows([values.get(name, "") for name in COLUMNS[record]]):
            sheet.append([_cell(sheet, text) for text in row])
    book.save(out)


def _sheet(book: Workbook, kind: str) -> Any:
    sheet: Any = book.create_sheet(SHEETS[kind])
    sheet.freeze_panes = "A2"
    for place, name in enumerate(COLUMNS[kind], start=1):
        wide = name in ("title", "description", "text", "cause", "consequence", "overview")
        sheet.column_dimensions[get_column_letter(place)].width = _WIDE if wide else _NARROW
    heads = [WriteOnlyCell(sheet, value=name) for name in (*COLUMNS[kind], MORE)]
    for cell in heads:
        cell.font = Font(bold=True)
    sheet.append(heads)
    return sheet


def _rows(texts: list[str]) -> Iterator[list[str]]:
    """The row, and where a text does not fit its cell further rows that go on with it."""
    if max(map(len, texts), default=0) <= _PIECE:
        yield texts
        return
    whole = [text if len(escaped(text)) <= MAX_CELL else "" for text in texts]
    pieces = [
        [] if whole[at] or not text else [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
        for at, text in enumerate(texts)
    ]
    for number in range(max(map(len, pieces), default=0) or 1):
        row = [part[number] if number < len(part) else "" for part in pieces]
        yield [one or two for one, two in zip(whole, row, strict=True)] if not number else [*row, "1"]


def _cell(sheet: Any, text: str) -> Any:
    """A cell that is a text whatever it looks like."""
    if not text:
        return None
    value = escaped(text)
    if value[0] not in "=#":
        return value
    cell = WriteOnlyCell(sheet, value=value)
    cell.data_type = "s"
    return cell
