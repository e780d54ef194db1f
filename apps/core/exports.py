"""Decisions as files: streamed by batches, so that neither memory nor a connection is held for the whole log."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from apps.core.models import Decision

BATCH = 2_000
COLUMNS = (
    "seq", "at", "scope", "actor", "action", "subject", "rationale", "evidenceUrl", "payload", "prevHash", "hash",
)  # fmt: skip
# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Write = Callable[[Sequence[Decision]], str]


def json_lines(decisions: Sequence[Decision]) -> str:
    """Decisions in the specification's shape, one JSON object a line."""
    return "".join(json.dumps(decision.as_specified(), ensure_ascii=False) + "\n" for decision in decisions)


def csv_lines(decisions: Sequence[Decision]) -> str:
    """The same as lines of CSV; the payload is one cell of JSON, and no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    for decision in decisions:
        fields = decision.as_specified()
        fields["payload"] = json.dumps(fields["payload"], ensure_ascii=False)
        writer.writerow([harmless(fields[column]) for column in COLUMNS])
    return text.getvalue()


def harmless(value: object) -> object:
    """The value as a cell that no spreadsheet runs."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


@sync_to_async
def _after(rows: QuerySet[Decision], seq: int) -> list[Decision]:
    return list(rows.filter(seq__gt=seq).order_by("seq")[:BATCH])


async def _stream(rows: QuerySet[Decision], write: Write, head: str) -> AsyncIterator[str]:
    yield head
    last = 0
    # Each batch is a query of its own, by key: a cursor would keep its connection while the reader is slow.
    while batch := await _after(rows, last):
        yield write(batch)
        last = batch[-1].seq


def as_json(rows: QuerySet[Decision]) -> StreamingHttpResponse:
    """A download of decisions as JSON lines, oldest first."""
    return _download(_stream(rows, json_lines, ""), "application/x-ndjson", "decisions.jsonl")


def as_csv(rows: QuerySet[Decision]) -> StreamingHttpResponse:
    """A download of decisions as CSV with a line of names, oldest first."""
    return _download(_stream(rows, csv_lines, ",".join(COLUMNS) + "\r\n"), "text/csv; charset=utf-8", "decisions.csv")


def _download(parts: AsyncIterator[str], content_type: str, name: str) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(parts, content_type=content_type, headers=headers)
