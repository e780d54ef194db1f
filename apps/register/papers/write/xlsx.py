"""A workbook with a sheet for each kind of record, written row by row so that memory stays bounded.

openpyxl makes the workbook with its styles and heads. The rows are put between them as the inline strings of ECMA-376 part 1,
18.3.1.53, because objects for each cell take several times as long as reading the register does.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from apps.register.papers.cells import MAX_CELL, escaped
from apps.register.papers.records import COLUMNS, records
from apps.register.papers.shapes import Paper, PaperRisk
from apps.register.papers.tables import MORE, SHEETS

# An escaped character takes seven, so a piece of this length fits a cell in any case.
_PIECE = MAX_CELL // 7
_WIDE, _NARROW = 40, 16
_LETTERS = [get_column_letter(place) for place in range(1, 1 + max(map(len, COLUMNS.values())) + 1)]
_END = b"</sheetData>"
# What of a sheet's rows stays in memory, in bytes; the rest goes to a file.
_IN_MEMORY = 2**20


class _Sheet:
    """The rows of one sheet, kept beside the workbook until all are there."""

    def __init__(self, kept: IO[bytes]) -> None:
        self.kept = kept
        self.rows = 1  # the heads

    def append(self, texts: list[str]) -> None:
        """Add a row. Each cell is a text whatever it looks like."""
        self.rows += 1
        cells = "".join(
            f'<c r="{letter}{self.rows}" t="inlineStr"><is><t xml:space="preserve">{escape(escaped(text))}</t></is></c>'
            for letter, text in zip(_LETTERS, texts, strict=False)
            if text
        )
        self.kept.write(f'<row r="{self.rows}">{cells}</row>'.encode())


def write_xlsx(head: Paper, risks: Iterable[PaperRisk], out: IO[bytes]) -> None:
    """Write an assessment with its risks, which may come one by one."""
    with ExitStack() as files:
        sheets = {kind: _Sheet(files.enter_context(SpooledTemporaryFile(_IN_MEMORY))) for kind in COLUMNS}
        for record, values in records(head, risks):
            sheet = sheets[record]
            for row in _rows([values.get(name, "") for name in COLUMNS[record]]):
                sheet.append(row)
        _put_together(_heads(), list(sheets.values()), out)


def _heads() -> io.BytesIO:
    """The workbook without rows."""
    book = Workbook(write_only=False)
    book.remove(book.worksheets[0])
    for kind, columns in COLUMNS.items():
        sheet = book.create_sheet(SHEETS[kind])
        sheet.freeze_panes = "A2"
        sheet.append([*columns, MORE])
        for place, name in enumerate((*columns, MORE), start=1):
            sheet.cell(1, place).font = Font(bold=True)
            wide = name in ("title", "description", "text", "cause", "consequence", "overview")
            sheet.column_dimensions[get_column_letter(place)].width = _WIDE if wide else _NARROW
    made = io.BytesIO()
    book.save(made)
    return made


def _put_together(heads: IO[bytes], sheets: list[_Sheet], out: IO[bytes]) -> None:
    """Copy the workbook with the rows of each sheet behind its heads."""
    parts = {f"xl/worksheets/sheet{number}.xml": sheet for number, sheet in enumerate(sheets, start=1)}
    with ZipFile(heads) as source, ZipFile(out, "w", ZIP_DEFLATED) as target:
        for name in source.namelist():
            sheet = parts.get(name)
            if sheet is None:
                target.writestr(name, source.read(name))
                continue
            before, end, after = _sized(source.read(name), sheet.rows).partition(_END)
            sheet.kept.seek(0)
            with target.open(name, "w", force_zip64=True) as part:
                part.write(before)
                shutil.copyfileobj(sheet.kept, part)
                part.write(end + after)


def _sized(sheet: bytes, rows: int) -> bytes:
    """The sheet with its extent, by which programs size their view before they read the rows."""
    before, start, after = sheet.partition(b'<dimension ref="')
    extent, quote, rest = after.partition(b'"')
    return before + start + extent.rstrip(b"0123456789") + str(rows).encode() + quote + rest if start else sheet


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
