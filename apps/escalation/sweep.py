"""The minute sweep: each clock whose time has come is announced to its next rung, exactly once.

Guarantee: an announcement, its events, its place in the inboxes and the clock's next time are one transaction. A worker that
dies before it commits has done nothing, and the next sweep does it; several workers share the clocks by skipping those that
another one holds. So no deadline is lost, no rung is skipped, and nothing appears twice in an inbox. E-mails of it are sent at
least once, see :mod:`apps.core.notifications`. Times are the database's, which all workers share; if its clock steps back,
announcements wait until it has caught up, and nothing is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, connection, transaction

from apps.core.decisions import Entry, record_many, system
from apps.core.notifications import notify_many
from apps.escalation import levels, metrics, outgoing
from apps.escalation.binding import SCOPE
from apps.escalation.models import Clock, ClockEvent, FlagEvent, RiskFlag, Ticket, TicketEvent
from apps.escalation.overdue import Desk, Outcome, dedupe_key, event_data
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
        except Exception:
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
    _write(outcomes, now)
    return outcomes


def _claim(now: datetime, size: int, broken: list[int]) -> list[Clock]:
    """Lock the most overdue clocks that nobody else holds. Read again under the lock: who was faster has moved them on."""
    due = Clock.objects.due(now).exclude(pk__in=broken).select_for_update(skip_locked=True, of=("self",), no_key=True)
    related = ("flag__scope", "flag__assignee", "ticket__scope", "ticket__assignee", "ticket__category")
    return list(due.select_related(*related)[:size])


def _write(outcomes: Sequence[Outcome], now: datetime) -> None:
    """Put a batch down, in a number of statements that does not depend on its size."""
    if not outcomes:
        return
    events, of_flags, of_tickets, entries = [], [], [], []
    lateness: list[float] = []
    for outcome in outcomes:
        clock = outcome.clock
        assert clock.next_deadline_at is not None
        late = now - clock.next_deadline_at
        lateness.append(late.total_seconds())
        for telling in outcome.tellings:
            data = event_data(telling, late)
            what = ClockEvent.Kind.DUE if telling.number == 1 else ClockEvent.Kind.RUNG
            events.append(ClockEvent(clock=clock, kind=what, at=now, reason=telling.words[:300], data=data))
            if clock.flag is not None:
                of_flags.append(_flag_event(clock.flag, clock, telling.words, data, now))
                entries.append(_entry(clock.flag, clock, telling.words, data))
            elif clock.ticket is not None:
                of_tickets.append(_ticket_event(clock.ticket, clock, telling.words, data, now))
    ClockEvent.objects.bulk_create(events)
    FlagEvent.objects.bulk_create(of_flags)
    TicketEvent.objects.bulk_create(of_tickets)
    for kind, of_kind in ((KIND, True), (TICKETS, False)):
        chosen = [each for each in outcomes if (each.clock.flag_id is not None) is of_kind]
        notify_many(kind=kind, news=[one for each in chosen for telling in each.tellings for one in telling.news])
    outgoing.publish(*(_outgoing(each.clock, telling.number, now) for each in outcomes for telling in each.tellings))
    _advance(outcomes)
    record_many(entries)
    transaction.on_commit(partial(_count, lateness), robust=True)


def _count(lateness: list[float]) -> None:
    for seconds in lateness:
        metrics.seconds_late.observe(seconds)


def _advance(outcomes: Sequence[Outcome]) -> None:
    rows = [(each.clock.pk, each.clock.rung + len(each.tellings), each.next_at) for each in outcomes]
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [list(column) for column in zip(*rows, strict=True)])


def _outgoing(clock: Clock, number: int, now: datetime) -> outgoing.News:
    if clock.flag is not None:
        return outgoing.of_flag(clock.flag, "flag.rung_told", dedupe_key(clock, number), now)
    assert clock.ticket is not None  # a clock belongs to a flag or to a ticket (constraint)
    news = outgoing.of_ticket(clock.ticket, "ticket.overdue", now)
    return replace(news, key=dedupe_key(clock, number))


def _flag_event(flag: RiskFlag, clock: Clock, words: str, data: dict[str, Any], now: datetime) -> FlagEvent:
    overdue = data["rung"] == 1 and clock.target == Clock.Target.STEP
    kind = FlagEvent.Kind.OVERDUE if overdue else FlagEvent.Kind.TOLD
    return FlagEvent(flag=flag, kind=kind, at=now, text=words, data={"clock": clock.pk, **data})


def _ticket_event(ticket: Ticket, clock: Clock, words: str, data: dict[str, Any], now: datetime) -> TicketEvent:
    reason = f"{clock.get_target_display()} is overdue. {words}"[:500]
    return TicketEvent(ticket=ticket, kind="overdue", at=now, reason=reason, data={"clock": clock.pk, **data})


def _entry(flag: RiskFlag, clock: Clock, words: str, data: dict[str, Any]) -> Entry:
    return Entry(
        scope=SCOPE,
        actor=system("escalation-sweep"),
        action="risk_flag_rung_told",
        subject=f"risk_flag:{flag.pk}",
        rationale=words,
        evidence_url=flag_url(flag.pk),
        payload={"clock": clock.pk, "target": clock.target, "step": clock.step, **data},
    )
