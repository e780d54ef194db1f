"""The minute sweep: each clock whose time has come is announced to its next rung, exactly once.

Guarantee: an announcement, its events, its place in the inboxes and the clock's next time are one transaction. A worker that
dies before it commits has done nothing, and the next sweep does it; several workers share the clocks by skipping those that
another one holds. So no deadline is lost, no rung is skipped, and nothing appears twice in an inbox. E-mails of it are sent at
least once, see :mod:`apps.core.notifications`. Times are the database's, which all workers share; if its clock steps back,
announcements wait until it has caught up, and nothing is repeated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Model

from apps.core.decisions import Entry, record_many, system
from apps.core.notifications import notify_many
from apps.escalation import levels, metrics, outgoing
from apps.escalation.binding import SCOPE
from apps.escalation.models import Clock, ClockEvent, FlagEvent, TicketEvent
from apps.escalation.overdue import Desk, Outcome, Telling, dedupe_key, event_data
from apps.escalation.rungs import KIND, flag_url

logger = structlog.get_logger(__name__)
BATCH = 500
BUDGET = 45  # seconds; the next sweep goes on with what is left
TICKETS = "tickets"
_NEXT = """
    UPDATE escalation_clock SET rung = news.rung, next_deadline_at = news.next_at
    FROM unnest(%s::bigint[], %s::smallint[], %s::timestamptz[]) AS news(id, rung, next_at)
    WHERE escalation_clock.id = news.id
"""
# What a sweep does not read of its rows; long texts, for the most part.
_UNREAD = (
    "trace", "flag__evidence", "flag__affected_customers", "flag__frequency", "flag__impact", "flag__containment",
    "flag__communications", "flag__references", "ticket__summary",
)  # fmt: skip
# Not bulk_create, which writes each field out by itself: a thousand clocks took twice the time of this process.
_EVENTS = """
    INSERT INTO {table} ({of}, kind, at, {words}, data)
    SELECT news.of, news.kind, %s, news.words, news.data FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::jsonb[])
        AS news(of, kind, words, data)
"""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: clocks it looked at, rungs it told, clocks that failed and stay due."""

    clocks: int
    told: int
    failed: int


def database_now() -> datetime:
    """The time of the database: one clock for all workers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def sweep(*, now: datetime, batch: int = BATCH, budget: float = BUDGET) -> Swept:
    """Announce everything that is due, in batches of one transaction each.

    Args:
        batch: clocks per transaction.
        budget: seconds after which no further batch is begun.

    Raises:
        OperationalError, InterfaceError: the database went away; what was committed stays done, the rest stays due.
    """
    desk, end = Desk(levels.in_force()), monotonic() + budget
    looked = told = 0
    broken: list[int] = []
    size = batch
    while monotonic() < end:
        try:
            outcomes = _batch(desk, now, size, broken)
        except (OperationalError, InterfaceError, SoftTimeLimitExceeded):
            raise
        except Exception:  # whatever one clock fails by, the announcements of the others must go out
            if size > 1:
                size = 1  # one by one, until the clock is found that fails
                continue
            failed = _first(now, broken)
            if failed is None:
                break
            logger.exception("clock_failed", clock=failed)
            metrics.clocks_failed.inc()
            broken.append(failed)
            size = batch
            continue
        looked += len(outcomes)
        told += sum(len(each.tellings) for each in outcomes)
        if len(outcomes) < size:
            break
    return Swept(looked, told, len(broken))


def _first(now: datetime, broken: list[int]) -> int | None:
    """The clock at which a batch of one failed."""
    found: int | None = Clock.objects.due(now).exclude(pk__in=broken).values_list("pk", flat=True).first()
    return found


@transaction.atomic
def _batch(desk: Desk, now: datetime, size: int, broken: list[int]) -> list[Outcome]:
    clocks = _claim(now, size, broken)
    outcomes = [desk.judge(clock, now) for clock in clocks]
    if outcomes:
        _write(outcomes, now)
    return outcomes


def _claim(now: datetime, size: int, broken: list[int]) -> list[Clock]:
    """Lock the most overdue clocks that nobody else holds. Read again under the lock: who was faster has moved them on."""
    due = Clock.objects.due(now).exclude(pk__in=broken).select_for_update(skip_locked=True, of=("self",), no_key=True)
    related = ("flag__scope", "flag__assignee", "ticket__scope", "ticket__assignee", "ticket__category")
    return list(due.select_related(*related).defer(*_UNREAD)[:size])


def _write(outcomes: Sequence[Outcome], now: datetime) -> None:
    """Put a batch down, in a number of statements that does not depend on its size."""
    of_clocks, of_flags, of_tickets, entries, lateness = [], [], [], [], []
    for outcome in outcomes:
        clock = outcome.clock
        assert clock.next_deadline_at is not None  # that is what made it due
        late = now - clock.next_deadline_at
        lateness.append(late.total_seconds())
        for telling in outcome.tellings:
            data = event_data(telling, late)
            kind = ClockEvent.Kind.DUE if telling.number == 1 else ClockEvent.Kind.RUNG
            of_clocks.append(Event(clock.pk, kind, telling.words[:300], data))
            if clock.flag_id is not None:
                of_flags.append(_of_flag(clock.flag_id, clock, telling, data))
                entries.append(_entry(clock.flag_id, clock, telling))
            elif clock.ticket_id is not None:
                of_tickets.append(_of_ticket(clock.ticket_id, clock, telling, data))
    _insert(ClockEvent, "clock_id", "reason", of_clocks, now)
    _insert(FlagEvent, "flag_id", "text", of_flags, now)
    _insert(TicketEvent, "ticket_id", "reason", of_tickets, now)
    for news_kind, of_kind in ((KIND, True), (TICKETS, False)):
        chosen = [each for each in outcomes if (each.clock.flag_id is not None) is of_kind]
        notify_many(kind=news_kind, news=[one for each in chosen for telling in each.tellings for one in telling.news])
    outgoing.publish(*(_outgoing(each.clock, telling.number, now) for each in outcomes for telling in each.tellings))
    _advance(outcomes)
    record_many(entries)
    transaction.on_commit(partial(_count, lateness), robust=True)


class Event(NamedTuple):
    """A row of a timeline: whose it is, and what happened."""

    of: int
    kind: str
    words: str
    data: dict[str, Any]


def _insert(model: type[Model], of: str, words: str, events: Sequence[Event], now: datetime) -> None:
    if not events:
        return
    owners, kinds, texts, data = zip(*events, strict=True)
    statement = _EVENTS.format(table=model._meta.db_table, of=of, words=words)
    with connection.cursor() as cursor:
        cursor.execute(statement, [now, list(owners), list(kinds), list(texts), [json.dumps(one) for one in data]])


def _count(lateness: list[float]) -> None:
    for seconds in lateness:
        metrics.seconds_late.observe(seconds)


def _advance(outcomes: Sequence[Outcome]) -> None:
    rows = [(each.clock.pk, each.clock.rung + len(each.tellings), each.next_at) for each in outcomes]
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [list(column) for column in zip(*rows, strict=True)])


def _outgoing(clock: Clock, number: int, now: datetime) -> outgoing.News:
    if clock.flag is not None:
        kind = "flag.overdue" if clock.target == Clock.Target.STEP else "flag.rung_told"
        news = outgoing.of_flag(clock.flag, kind, dedupe_key(clock, number), now)
        return replace(news, facts={**news.facts, **_lateness(clock, number)})
    assert clock.ticket is not None  # a clock belongs to a flag or to a ticket (constraint)
    news = outgoing.of_ticket(clock.ticket, "ticket.overdue", now)
    return replace(news, key=dedupe_key(clock, number), facts={**news.facts, **_lateness(clock, number)})


def _lateness(clock: Clock, number: int) -> dict[str, Any]:
    """Which deadline passed, when it was, and how often that was announced."""
    return {"target": clock.target, "due_at": clock.due_at, "announced": number}


def _of_flag(flag: int, clock: Clock, telling: Telling, data: dict[str, Any]) -> Event:
    overdue = telling.number == 1 and clock.target == Clock.Target.STEP
    kind = FlagEvent.Kind.OVERDUE if overdue else FlagEvent.Kind.TOLD
    return Event(flag, kind, telling.words, {"clock": clock.pk, **data})


def _of_ticket(ticket: int, clock: Clock, telling: Telling, data: dict[str, Any]) -> Event:
    reason = f"{clock.get_target_display()} is overdue. {telling.words}"[:500]
    return Event(ticket, "overdue", reason, {"clock": clock.pk, **data})


def _entry(flag: int, clock: Clock, telling: Telling) -> Entry:
    return Entry(
        scope=SCOPE,
        actor=system("escalation-sweep"),
        action="risk_flag_rung_told",
        subject=f"risk_flag:{flag}",
        rationale=telling.words,
        evidence_url=flag_url(flag),
        payload={"clock": clock.pk, "target": clock.target, "step": clock.step, "rung": telling.number},
    )
