"""Clocks in the database: rows and the pure engine always say the same, holds stay out, and what does not fit is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core import clocks as core
from apps.core.business_time import BusinessTimeError
from apps.escalation import calendars, clocks
from apps.escalation.clocks import ClockRefused
from apps.escalation.models import CalendarDay, Clock, ClockEvent, Ticket
from tests.escalation.factories import NOON, calendar, minutes, raised, ticket

pytestmark = pytest.mark.django_db
BERLIN_NOON = datetime(2026, 3, 27, 11, tzinfo=UTC)  # Friday 12:00 in Berlin; the clocks change on Sunday


def started(**changes: Any) -> Clock:
    facts: dict[str, Any] = {
        "target": "first_response", "calendar": calendars.business(), "allowed": minutes(60), "now": NOON,
        "reason": "First answer",
    }  # fmt: skip
    if "flag" not in changes and "ticket" not in changes:
        facts["ticket"] = ticket()
    return clocks.start(**(facts | changes))


def test_a_started_clock_says_when_and_why_across_the_change_to_summer_time() -> None:
    clock = started(calendar=calendar(), allowed=minutes(300), now=BERLIN_NOON)
    assert clock.due_at == datetime(2026, 3, 30, 8, tzinfo=UTC)
    assert clock.next_deadline_at == clock.due_at
    texts = [step["text"] for step in clock.trace]
    assert texts[0].endswith("First answer")
    assert texts[-2:] == ["Mon 30 Mar 09:00-10:00 used 60 min", "Due Mon 30 Mar 10:00 Europe/Berlin"]


def test_waiting_for_the_customer_does_not_count() -> None:
    clock = started()
    clock = clocks.pause(clock=clock, now=NOON + minutes(20), reason="waiting for the customer")
    assert (clock.status, clock.due_at, clock.next_deadline_at) == ("paused", None, None)
    clock = clocks.resume(clock=clock, now=NOON + minutes(80), reason="the customer answered")
    assert (clock.status, clock.due_at) == ("running", NOON + minutes(120))
    assert any("waiting for the customer" in step["text"] for step in clock.trace)


def test_another_policy_keeps_the_held_time() -> None:
    clock = started()
    clock = clocks.pause(clock=clock, now=NOON + minutes(10), reason="w")
    clock = clocks.resume(clock=clock, now=NOON + minutes(40), reason="w")
    clock = clocks.change_policy(
        clock=clock, calendar=calendars.business(), allowed=minutes(30), now=NOON + minutes(45), reason="Urgent now"
    )
    assert (clock.due_at, clock.allowed) == (NOON + minutes(60), minutes(30))
    assert clocks.counted(clock).held(NOON + minutes(45)) == minutes(30)


@pytest.mark.parametrize(("after", "status"), [(60, "met"), (61, "missed")])
def test_met_in_time_or_missed(after: int, status: str) -> None:
    clock = clocks.meet(clock=started(), now=NOON + minutes(after), reason="answered")
    assert (clock.status, clock.next_deadline_at, clock.ended_at) == (status, None, NOON + minutes(after))


def test_a_cancelled_clock_is_not_swept() -> None:
    clock = clocks.cancel(clock=started(), now=NOON, reason="merged")
    assert (clock.status, clock.next_deadline_at) == ("cancelled", None)
    assert not Clock.objects.due(NOON + timedelta(days=30)).exists()


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        (["pause", "pause"], "already_paused"),
        (["resume"], "not_paused"),
        (["meet", "meet"], "already_met"),
        (["cancel", "resume"], "already_met"),
        (["meet", "cancel"], "already_met"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_stored(steps: list[str], code: str) -> None:
    clock = started()
    for name in steps[:-1]:
        getattr(clocks, name)(clock=clock, now=NOON, reason="x")
    before = clock.events.count()
    with pytest.raises(ClockRefused) as refusal:
        getattr(clocks, steps[-1])(clock=clock, now=NOON, reason="x")
    assert refusal.value.code == code
    assert clock.events.count() == before


def test_one_clock_of_a_kind_runs_at_a_time() -> None:
    one = ticket()
    clock = started(ticket=one)
    with pytest.raises(ClockRefused) as refusal:
        started(ticket=one)
    assert refusal.value.code == "already_started"
    clocks.meet(clock=clock, now=NOON, reason="answered")
    assert started(ticket=one).pk != clock.pk


def test_a_clock_belongs_to_a_flag_or_a_ticket() -> None:
    with pytest.raises(ClockRefused):
        started(ticket=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Clock.objects.filter(pk=started().pk).update(flag=raised(level=1))


def test_a_machine_whose_clock_steps_back_still_ends_a_clock() -> None:
    clock = clocks.pause(clock=started(), now=NOON + minutes(10), reason="w")
    clock = clocks.resume(clock=clock, now=NOON - timedelta(days=1), reason="w")
    assert clock.events.last().at == NOON + minutes(10)
    assert clock.due_at == NOON + minutes(60)


def test_events_are_never_changed() -> None:
    event = started().events.get()
    for change in (
        "UPDATE escalation_clockevent SET reason = 'x' WHERE id = %s",
        "DELETE FROM escalation_clockevent WHERE id = %s",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change, [event.pk])


def test_an_activated_holiday_moves_the_deadlines_of_running_clocks() -> None:
    hours = calendar("UTC", ((540, 1020),))
    one, other = started(calendar=hours, allowed=minutes(8 * 60)), started()
    day = CalendarDay.objects.create(calendar=hours, day=date(2026, 3, 3), name="Company day")
    assert clocks.recompute(calendar=hours, now=NOON) == 0  # proposed days do not count
    day.active = True
    day.save()
    assert clocks.recompute(calendar=hours, now=NOON) == 1
    one.refresh_from_db()
    assert one.due_at == one.next_deadline_at == datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert any("Company day" in step["text"] for step in one.trace)
    before = other.due_at
    other.refresh_from_db()
    assert other.due_at == before


def test_counting_again_does_not_wake_what_somebody_has_in_hand() -> None:
    clock = started()
    Clock.objects.filter(pk=clock.pk).update(rung=1, next_deadline_at=None)
    clocks.recompute(calendar=clock.calendar, now=NOON + minutes(61))
    clock.refresh_from_db()
    assert clock.next_deadline_at is None


def test_half_days_and_midnight_count() -> None:
    hours = calendar("UTC", ((1200, 1440),))
    CalendarDay.objects.create(calendar=hours, day=date(2026, 3, 3), name="Half", intervals=[[1380, 1440]], active=True)
    clock = started(calendar=hours, allowed=minutes(300))
    assert clock.due_at == datetime(2026, 3, 4, 0, tzinfo=UTC)


def test_a_calendar_that_never_opens_cannot_be_counted_by() -> None:
    with pytest.raises(BusinessTimeError):
        started(calendar=calendar(hours=()))
    assert not Clock.objects.exists()


MOVES = st.lists(
    st.tuples(st.sampled_from(["pause", "resume", "policy", "meet"]), st.integers(0, 3000), st.integers(1, 5000)),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES, allowed=st.integers(0, 5000), zone=st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]))
def test_rows_and_the_pure_engine_agree(moves: list[tuple[str, int, int]], allowed: int, zone: str) -> None:
    """Whatever is asked in whatever order, the row says what the pure engine makes of the accepted events."""
    with transaction.atomic():
        hours = calendar(zone)
        clock = started(calendar=hours, allowed=minutes(allowed), now=BERLIN_NOON)
        desk, now = calendars.of(hours), BERLIN_NOON
        pure = core.apply(None, core.Event(core.Kind.START, now, core.Policy("p", minutes(allowed), desk)))
        for name, later, more in moves:
            now += minutes(later)
            policy = core.Policy("p", minutes(more), desk) if name == "policy" else None
            kind = {"policy": "policy_change", "meet": "met"}.get(name, name)
            after, code = applied(pure, core.Event(core.Kind(kind), now, policy))
            if code:
                with pytest.raises(ClockRefused) as refusal:
                    ask(name, clock, now, more)
                assert refusal.value.code == code
            else:
                pure, clock = after, ask(name, clock, now, more)
            assert clock.due_at == pure.due_at
            assert (clock.status == "paused") == (pure.phase is core.Phase.HELD)
            assert clock.status not in ("met", "missed") or (clock.status == "missed") == pure.is_overdue(now)
            assert clock.next_deadline_at == (pure.due_at if pure.phase is core.Phase.RUNNING else None)
        transaction.set_rollback(True)


def applied(clock: core.Clock, event: core.Event) -> tuple[core.Clock, str]:
    """The clock after an event, or the code with which it is refused."""
    try:
        return core.apply(clock, event), ""
    except core.ClockError as error:
        return clock, error.code


def ask(name: str, clock: Clock, now: datetime, more: int) -> Clock:
    if name == "policy":
        new = minutes(more)
        return clocks.change_policy(clock=clock, calendar=clock.calendar, allowed=new, now=now, reason="p")
    done: Clock = getattr(clocks, name)(clock=clock, now=now, reason="x")
    return done


def test_every_kind_of_event_is_read_or_known_to_be_none_of_the_engines() -> None:
    assert set(ClockEvent.Kind) - set(clocks._KINDS) == {"due", "rung", "cancel"}
    assert Ticket.Status.WAITING == "waiting"
