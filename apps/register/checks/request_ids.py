"""Request ids: every answer has one, and so has what is logged about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import uuid4

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site, in_process

PATH = "/no-such-page-asked-by-a-check"
MALFORMED = "<script>"


@check(
    slug="request-ids",
    title="Answers and log lines carry the id of their request",
    every=timedelta(hours=1),
    mitigation="See that RequestIdMiddleware stands in MIDDLEWARE and that LOGGING writes its events.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Asks for a page with an id of its own and with a malformed one, and reads what this process logs about a request."""
    mine = uuid4().hex
    kept = site.ask("GET", PATH, headers={"X-Request-ID": mine})
    replaced = site.ask("GET", PATH, headers={"X-Request-ID": MALFORMED}).header("x-request-id")
    with _logged() as lines:
        in_process("GET", PATH, headers={"X-Request-ID": mine}, logged=True)
    telling = [line for line in lines if mine in line]
    failures = []
    if kept.header("x-request-id") != mine:
        failures.append("The answer does not carry the id that the request came with.")
    if not replaced or replaced == MALFORMED:
        failures.append("A malformed id is not replaced.")
    if not telling:
        failures.append(f"None of {len(lines)} log lines about a request names its id.")
    return concluded(
        "The id is kept, a malformed one is replaced, and the log names it.",
        failures=failures,
        facts={"asked": kept.via, "logLines": len(lines), "withId": len(telling)},
        query=f"GET {PATH} with X-Request-ID",
    )


class _Lines(logging.Handler):
    """Keeps lines as the process' own handler would write them."""

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(logging.makeLogRecord(record.__dict__)))


@contextmanager
def _logged() -> Iterator[list[str]]:
    root = logging.getLogger()
    written = [handler for handler in root.handlers if type(handler) is logging.StreamHandler]
    handler = _Lines(written[0].formatter if written else None)
    root.addHandler(handler)
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
