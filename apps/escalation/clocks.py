"""Clocks in the database: append-only events, and the deadline that they amount to.

What the events mean is said by :mod:`apps.core.clocks`; this module stores them, and with them the due time, its reason and
when the sweep has to look next. Each function locks the clock's row. An event whose time lies before the last one's is
written at that time: a machine's clock may step back, and a deadline must not fail then.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from apps.core import clocks as core
from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation.calendars import Calendars
from apps.escalation.models import Calendar, Clock, ClockEvent, RiskFlag, Ticket

Status = Clock.Status
Kind = ClockEvent.Kind
OPEN = (Status.RUNNING, Status.PAUSED)
_KINDS = {
    Kind.START: core.Kind.START,
    Kind.PAUSE: core.Kind.PAUSE,
    Kind.RESUME: core.Kind.RESUME,
    Kind.POLICY: core.Kind.POLICY_CHANGE,
    Kind.MET: core.Kind.MET,
}
_CHUNK = 500
MICROSECOND = timedelta(microseconds=1)


class ClockRefused(DomainError):
    """What was asked does not fit what happened to the clock. ``code`` is that of ``apps.core.clocks``."""

    status = 409

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@transaction.atomic
def start(
    *,
    flag: RiskFlag | None = None,
    ticket: Ticket | None = None,
    target: str,
    step: str = "",
    calendar: Calendar,
    allowed: timedelta,
    now: datetime,
    reason: str,
    actor: User | None = None,
    data: dict[str, Any] | None = None,
) -> Clock:
    """Start a clock of a flag or of a ticket.

    Args:
        target: of ``Clock.Target``.
        step: the ladder's step that it belongs to, for clocks of flags.
        allowed: working time of the calendar until it is due.
        reason: the name of what sets the time, for the trace.
        data: facts for the event, such as the protocol's version.

    Raises:
        ClockRefused: ``already_started``, the same clock runs; ``bad_allowance``.
        BusinessTimeError: the calendar never opens any more.
    """
    clock = Clock(
        flag=flag, ticket=ticket, target=target, step=step, calendar=calendar, allowed=allowed, started_at=now
    )
    event = ClockEvent(kind=Kind.START, at=now, reason=reason[:300], actor=actor)
    event.data = {**(data or {}), **_policy(calendar, allowed, reason)}
    _settle(clock, _folded([event]), now)
    try:
        with transaction.atomic():
            clock.save(force_insert=True)
    except IntegrityError:
        raise ClockRefused("already_started", "This clock runs already.") from None
    event.clock = clock
    event.save(force_insert=True)
    return clock


def pause(*, clock: Clock, now: datetime, reason: str, actor: User | None = None) -> Clock:
    """Hold a clock, as while waiting for the customer.

    Raises:
        ClockRefused: ``already_paused``, ``already_met``.
    """
    return _append(clock, Kind.PAUSE, now, reason, actor)


def resume(*, clock: Clock, now: datetime, reason: str, actor: User | None = None) -> Clock:
    """Let a held clock go on.

    Raises:
        ClockRefused: ``not_paused``, ``already_met``.
    """
    return _append(clock, Kind.RESUME, now, reason, actor)


def meet(*, clock: Clock, now: datetime, reason: str, actor: User | None = None) -> Clock:
    """End a clock: met, or missed if its deadline had passed.

    Raises:
        ClockRefused: ``already_met``.
    """
    return _append(clock, Kind.MET, now, reason, actor)


def change_policy(
    *,
    clock: Clock,
    calendar: Calendar,
    allowed: timedelta,
    now: datetime,
    reason: str,
    name: str = "",
    actor: User | None = None,
) -> Clock:
    """Give a clock another time or calendar, counted from its start; the time for which it was held stays out.

    Args:
        reason: why it changes.
        name: what sets the new time, for the trace.

    Raises:
        ClockRefused: ``already_met``, ``bad_allowance``.
    """
    return _append(clock, Kind.POLICY, now, reason, actor, _policy(calendar, allowed, name or reason))


@transaction.atomic
def cancel(*, clock: Clock, now: datetime, reason: str, actor: User | None = None) -> Clock:
    """End a clock that nobody has to meet any more.

    Raises:
        ClockRefused: ``already_met``.
    """
    clock = _locked(clock)
    at = max(now, _events(clock)[-1].at)
    ClockEvent.objects.create(clock=clock, kind=Kind.CANCEL, at=at, reason=reason[:300], actor=actor)
    clock.status, clock.next_deadline_at, clock.ended_at = Status.CANCELLED, None, at
    clock.save(update_fields=["status", "next_deadline_at", "ended_at"])
    return clock


def quiet(clocks: Iterable[Clock]) -> None:
    """Announce nothing more of these clocks. Called while their flag is locked, because somebody has it in hand."""
    Clock.objects.filter(pk__in=[clock.pk for clock in clocks]).update(next_deadline_at=None)


def recompute(*, calendar: Calendar, now: datetime) -> int:
    """Count the running clocks of a calendar again, after its hours or days changed. Returns how many moved."""
    moved, calendars = 0, Calendars(Calendar.objects.values_list("pk", flat=True))
    ids = list(Clock.objects.filter(calendar=calendar, status__in=OPEN).order_by("pk").values_list("pk", flat=True))
    for first in range(0, len(ids), _CHUNK):
        with transaction.atomic():
            rows = Clock.objects.filter(pk__in=ids[first : first + _CHUNK], status__in=OPEN).order_by("pk")
            found = list(rows.select_for_update(no_key=True).prefetch_related("events"))
            for clock in found:
                before = clock.due_at
                _settle(clock, _folded(list(clock.events.all()), calendars), now, wake=False)
                moved += clock.due_at != before
            Clock.objects.bulk_update(found, ["due_at", "next_deadline_at", "trace"])
    return moved


def counted(clock: Clock) -> core.Clock:
    """What the events of a clock add up to: time left, time held, the reason of its deadline."""
    return _folded(_events(clock))


def _locked(clock: Clock) -> Clock:
    fresh: Clock = Clock.objects.select_for_update(no_key=True).get(pk=clock.pk)
    if fresh.status not in OPEN:
        raise ClockRefused("already_met", "This clock has ended.")
    return fresh


def _events(clock: Clock) -> list[ClockEvent]:
    return list(clock.events.order_by("id"))


@transaction.atomic
def _append(
    clock: Clock,
    kind: ClockEvent.Kind,
    now: datetime,
    reason: str,
    actor: User | None,
    policy: dict[str, Any] | None = None,
) -> Clock:
    clock = _locked(clock)
    events = _events(clock)
    at = max(now, events[-1].at)
    event = ClockEvent(clock=clock, kind=kind, at=at, reason=reason[:300], actor=actor, data=policy or {})
    folded = _folded([*events, event])
    event.save(force_insert=True)
    if policy:
        clock.calendar_id, clock.allowed = policy["calendar"], policy["allowed"] * MICROSECOND
    _settle(clock, folded, at)
    clock.save()
    return clock


def _policy(calendar: Calendar, allowed: timedelta, name: str) -> dict[str, Any]:
    return {"calendar": calendar.pk, "allowed": allowed // MICROSECOND, "policy": name[:120]}


def _folded(events: list[ClockEvent], calendars: Calendars | None = None) -> core.Clock:
    """What rows add up to.

    Raises:
        ClockRefused: for the first event that does not fit.
    """
    calendars = calendars or Calendars(event.data["calendar"] for event in events if "calendar" in event.data)
    try:
        return core.fold(_read(event, calendars) for event in events if event.kind in _KINDS)
    except core.ClockError as error:
        raise ClockRefused(error.code, error.message) from None


def _read(event: ClockEvent, calendars: Calendars) -> core.Event:
    policy = None
    if "calendar" in event.data:
        allowed = event.data["allowed"] * MICROSECOND
        policy = core.Policy(event.data["policy"], allowed, calendars[event.data["calendar"]])
    return core.Event(_KINDS[Kind(event.kind)], event.at, policy, event.reason)


def _settle(clock: Clock, folded: core.Clock, now: datetime, *, wake: bool = True) -> None:
    """Write on the row what its events amount to.

    Args:
        wake: announce an overdue clock again, even if somebody had it in hand.
    """
    clock.due_at, clock.trace = folded.due_at, list(folded.trace)
    if folded.phase is core.Phase.MET:
        late = folded.is_overdue(folded.last_at)
        clock.status, clock.ended_at = (Status.MISSED if late else Status.MET), folded.met_at
        clock.next_deadline_at = None
    elif folded.phase is core.Phase.HELD:
        clock.status, clock.next_deadline_at = Status.PAUSED, None
    else:
        clock.status = Status.RUNNING
        if clock.rung and folded.is_overdue(now):
            # What was announced goes on from rung to rung at the sweep's pace; a hold may have stopped that.
            clock.next_deadline_at = clock.next_deadline_at or (now if wake else None)
        else:
            clock.next_deadline_at = clock.due_at
