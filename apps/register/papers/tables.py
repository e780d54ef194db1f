"""Tables: the register's own, and foreign ones by a mapping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps.register.papers.cells import meant, unescaped
from apps.register.papers.foreign import Mapping, MappingNeeded, read_foreign, suggest
from apps.register.papers.guards import File
from apps.register.papers.records import ALL, COLUMNS, Builder
from apps.register.papers.refusals import BadPaper
from apps.register.papers.rows import Row, rows
from apps.register.papers.shapes import Paper

# The sheet of each kind of record.
SHEETS = {kind: kind.replace("document", "reference").capitalize() for kind in COLUMNS}
_KINDS = {title: kind for kind, title in SHEETS.items()}
MORE = "more"


def read_table(file: File, mapping: dict[str, Any] | None) -> Paper:
    """Read CSV or a workbook.

    Raises:
        BadPaper: if it is cut off, past the bounds, or holds no risk.
        MappingNeeded: if it is foreign and there is no mapping.
    """
    found = list(rows(file))
    if not found:
        raise BadPaper("The table is empty.")
    if _is_own(found[0]):
        return _own(file.kind, found)
    if mapping is None:
        raise MappingNeeded(suggest(found))
    return read_foreign(file.kind, found, Mapping.of(mapping))


def _is_own(head: Row) -> bool:
    if head.sheet:
        return head.sheet in _KINDS and set(_filled(head)) <= {*COLUMNS[_KINDS[head.sheet]], MORE}
    return head.cells[0] == "record" and set(_filled(head)) <= set(ALL)


def _filled(row: Row) -> list[str]:
    return [cell for cell in row.cells if cell]


def _own(kind: str, found: list[Row]) -> Paper:
    builder = Builder(kind)
    for record, values, row in _records(found, builder):
        builder.add(record, values, row)
    if not builder.head:
        raise BadPaper("The table has no record of its assessment; it may be cut off.")
    return builder.paper()


def _records(found: list[Row], builder: Builder) -> Iterator[tuple[str, dict[str, str], Row]]:
    """Each row as a record; a long text that went on in further rows is put together."""
    head: Row | None = None
    last: tuple[str, dict[str, str], Row] | None = None
    for row in found:
        if head is None or row.sheet != head.sheet:
            head = row
            if row.sheet and row.sheet not in _KINDS:
                builder.refuse(row, "", "a sheet that is not known")
            continue
        if row.sheet and row.sheet not in _KINDS:
            builder.refuse(row, " | ".join(_filled(row)), "")
            continue
        values = _values(head, row, builder)
        if row.sheet and values.pop(MORE, "") and last:
            for name, text in values.items():
                last[1][name] = last[1].get(name, "") + text
            continue
        if last:
            yield last
        record = _KINDS[row.sheet] if row.sheet else values.pop("record", "")
        last = (record, values if row.sheet else _of_record(record, values), row)
    if last:
        yield last


def _values(head: Row, row: Row, builder: Builder) -> dict[str, str]:
    """Cells by the names of their columns; a cell beyond the last one is refused."""
    for cell in row.cells[len(head.cells) :]:
        if cell:
            builder.refuse(row, cell, "a cell without a column")
    back = unescaped if row.sheet else meant
    values = {name: "" for name in head.cells if name}
    for name, cell in zip(head.cells, row.cells, strict=False):
        if name:
            values[name] = back(cell)
        elif cell:
            builder.refuse(row, cell, "a cell without a column")
    return values


def _of_record(record: str, values: dict[str, str]) -> dict[str, str]:
    """Of a row of CSV, the columns that its record has; others only if something stands in them."""
    names = COLUMNS.get(record, ())
    return {name: value for name, value in values.items() if value or name in names}
