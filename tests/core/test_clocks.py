"""Deadline clocks: what events add up to, what is refused, and agreement with counting every minute."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.business_time import Calendar
from apps.core.clocks import Clock, ClockError, Event, Kind, Phase, Policy, apply, fold

BERLIN = ZoneInfo("Europe/Berlin")
DESK = Calendar(
    "Desk", "Europe/Berlin", {n: [(540, 720), (780, 1020)] for n in range(5)}, {date(2026, 5, 1): ("Labour Day", [])}
)
ALWAYS = Calendar("Around the clock", "UTC", always_open=True)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STANDARD = Policy("Level 3", 8 * HOUR, DESK)
URGENT = Policy("Level 5", 2 * HOUR, ALWAYS)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A local time in April and May 2026; 28 is Tuesday 28 April, 34 is Monday 4 May."""
    return datetime(2026, 4, 1, tzinfo=BERLIN).replace(hour=hour, minute=minute) + timedelta(days=day - 1)


def start(when: datetime, policy: Policy = STANDARD) -> Event:
    return Event(Kind.START, when, policy)


def pause(when: datetime) -> Event:
    return Event(Kind.PAUSE, when, reason="waiting for the customer")


def resume(when: datetime) -> Event:
    return Event(Kind.RESUME, when)


def change(when: datetime, policy: Policy = URGENT) -> Event:
    return Event(Kind.POLICY_CHANGE, when, policy, "level raised")


def met(when: datetime) -> Event:
    return Event(Kind.MET, when)


def test_a_running_clock_is_due_when_its_allowance_is_used_up() -> None:
    clock = fold([start(at(28, 9))])
    assert (clock.phase, clock.due_at) == (Phase.RUNNING, at(29, 10))
    assert clock.remaining(at(28, 12, 30)) == 5 * HOUR
    assert not clock.is_overdue(at(29, 9, 59))
    assert clock.is_overdue(at(29, 10))
    assert clock.remaining(at(29, 11)) == -HOUR


def test_a_held_clock_has_no_due_time_and_loses_nothing() -> None:
    clock = fold([start(at(28, 9)), pause(at(28, 11))])
    assert (clock.phase, clock.due()) == (Phase.HELD, None)
    assert clock.remaining(at(29, 16)) == 6 * HOUR
    assert clock.held(at(29, 11)) == timedelta(days=1)
    assert not clock.is_overdue(at(60, 9))


def test_a_resumed_clock_goes_on_where_it_was_held() -> None:
    clock = fold([start(at(28, 9)), pause(at(28, 11)), resume(at(30, 16))])
    assert clock.due_at == at(34, 15)  # one hour on Thursday, none on Labour Day and the weekend, five on Monday
    assert clock.held(at(40, 9)) == timedelta(days=2, hours=5)


def test_holding_an_overdue_clock_does_not_unsay_it() -> None:
    clock = fold([start(at(28, 9)), pause(at(29, 12)), resume(at(30, 9))])
    assert clock.due_at == at(29, 10)
    assert fold([start(at(28, 9)), pause(at(29, 10))]).is_overdue(at(29, 10))


def test_a_policy_change_counts_from_the_start_and_keeps_the_held_time() -> None:
    events = [start(at(28, 9)), pause(at(28, 10)), resume(at(28, 12)), change(at(28, 12, 30))]
    clock = fold(events)
    assert clock.due_at == at(28, 13)  # an hour before the hold, and one after it, around the clock
    back = fold([*events, change(at(28, 12, 45), STANDARD)])
    assert back.due_at == fold(events[:3]).due_at


def test_a_stricter_policy_can_be_overdue_at_once() -> None:
    clock = fold([start(at(28, 9)), change(at(28, 16))])
    assert clock.due_at == at(28, 11)
    assert clock.is_overdue(at(28, 16))


def test_a_policy_can_change_while_held() -> None:
    clock = fold([start(at(28, 9)), pause(at(28, 10)), change(at(28, 15))])
    assert (clock.phase, clock.due_at) == (Phase.HELD, None)
    assert apply(clock, resume(at(29, 20))).due_at == at(29, 21)


@pytest.mark.parametrize(("when", "late"), [(at(29, 9), False), (at(29, 10), False), (at(29, 10, 1), True)])
def test_a_goal_is_met_in_time_until_the_due_time_itself(when: datetime, late: bool) -> None:
    clock = fold([start(at(28, 9)), met(when)])
    assert clock.phase is Phase.MET
    assert clock.is_overdue(at(60, 9)) is late
    assert clock.remaining(at(60, 9)) == at(29, 10) - when  # and it stands still


def test_a_goal_can_be_met_while_held() -> None:
    clock = fold([start(at(28, 9)), pause(at(28, 10)), met(at(29, 10))])
    assert (clock.phase, clock.due_at, clock.held(at(60, 9))) == (Phase.MET, None, timedelta(days=1))


def test_a_machine_clock_that_steps_back_does_not_break_reading() -> None:
    clock = fold([start(at(28, 9)), pause(at(28, 10)), resume(at(28, 11))])
    assert clock.remaining(at(28, 8)) == 7 * HOUR
    assert clock.held(at(28, 8)) == HOUR
    assert not clock.is_overdue(at(1, 9))


T = at(28, 9)
REFUSED: dict[str, Callable[[], object]] = {
    "nothing": lambda: fold([]),
    "paused before the start": lambda: fold([pause(T)]),
    "met before the start": lambda: fold([met(T)]),
    "changed before the start": lambda: fold([change(T)]),
    "started twice": lambda: fold([start(T), start(T)]),
    "started again while held": lambda: fold([start(T), pause(T), start(T)]),
    "paused twice": lambda: fold([start(T), pause(T), pause(T + HOUR)]),
    "resumed while running": lambda: fold([start(T), resume(T)]),
    "resumed twice": lambda: fold([start(T), pause(T), resume(T), resume(T)]),
    "resumed after the goal": lambda: fold([start(T), pause(T), met(T), resume(T)]),
    "met twice": lambda: fold([start(T), met(T), met(T)]),
    "changed after the goal": lambda: fold([start(T), met(T), change(T)]),
    "back in time": lambda: fold([start(T), pause(T - MINUTE)]),
    "back in time after more": lambda: fold([start(T), pause(T + HOUR), resume(T + MINUTE)]),
    "naive": lambda: Event(Kind.PAUSE, datetime(2026, 5, 4)),
    "start without policy": lambda: Event(Kind.START, T),
    "change without policy": lambda: Event(Kind.POLICY_CHANGE, T),
    "pause with policy": lambda: Event(Kind.PAUSE, T, STANDARD),
    "negative": lambda: Policy("Wrong", -MINUTE, DESK),
}
CODES = [
    "not_started", "not_started", "not_started", "not_started", "already_started", "already_started", "already_paused",
    "not_paused", "not_paused", "already_met", "already_met", "already_met", "out_of_order", "out_of_order", "naive_time",
    "no_policy", "no_policy", "needless_policy", "bad_allowance",
]  # fmt: skip


@pytest.mark.parametrize(("case", "code"), zip(REFUSED, CODES, strict=True))
def test_what_does_not_fit_is_refused_with_a_stable_code(case: str, code: str) -> None:
    with pytest.raises(ClockError) as refused:
        REFUSED[case]()
    assert refused.value.code == code


def test_a_refused_event_leaves_the_clock_as_it_was() -> None:
    clock = fold([start(T), pause(T + HOUR)])
    with pytest.raises(ClockError):
        apply(clock, pause(T + 2 * HOUR))
    assert clock == fold([start(T), pause(T + HOUR)])


def texts(clock: Clock) -> list[str]:
    return [step["text"] for step in clock.trace]


def test_the_trace_tells_the_story_in_order() -> None:
    clock = fold(
        [
            start(at(30, 9)),
            pause(at(30, 10)),
            resume(at(30, 16)),
            change(at(30, 16, 30), Policy("Level 2", 3 * HOUR, DESK)),
        ]
    )
    assert texts(clock) == [
        "Thu 30 Apr 09:00 starts: 480 min of Desk, Level 3",
        "Thu 30 Apr 09:00 to Thu 30 Apr 10:00 used 60 min",
        "Thu 30 Apr 10:00 to Thu 30 Apr 16:00 held: waiting for the customer",
        "Thu 30 Apr 16:30 policy changes to 180 min of Desk, Level 2, counted from the start (level raised)",
        "Thu 30 Apr 16:00-17:00 used 60 min",
        "Fri 1 May closed: Labour Day",
        "Sat 2 May closed",
        "Sun 3 May closed",
        "Mon 4 May 09:00-10:00 used 60 min",
        "Due Mon 4 May 10:00 Europe/Berlin",
    ]


def test_the_trace_says_what_is_left_while_held_and_at_the_goal() -> None:
    held = [start(at(28, 9)), pause(at(28, 11))]
    assert texts(fold(held))[-1] == "Tue 28 Apr 11:00 held since then, 360 min left: waiting for the customer"
    assert texts(fold([*held, met(at(28, 12))]))[-1] == "Tue 28 Apr 12:00 goal met, 360 min left"
    assert texts(fold([start(at(28, 9)), pause(at(29, 11))]))[-1].startswith(
        "Wed 29 Apr 11:00 held since then, 60 min late"
    )
    assert texts(fold([start(at(28, 9)), met(at(29, 10, 5))]))[-1] == "Wed 29 Apr 10:05 goal met, 5 min late"


def test_the_trace_of_many_holds_is_bounded_and_fits_into_json() -> None:
    events = [start(T)]
    for n in range(1, 200):
        events += [pause(T + (2 * n - 1) * MINUTE), resume(T + 2 * n * MINUTE)]
    trace = fold(events).trace
    assert len(trace) == 40
    assert json.loads(json.dumps(trace)) == list(trace)
    assert sum(step["minutes"] for step in trace) == 480


@given(
    gaps=st.lists(st.tuples(st.integers(0, 2000), st.booleans()), max_size=8),
    allowance=st.integers(0, 1500),
    begin=st.integers(0, 10_000),
)
@settings(max_examples=100, deadline=None)
def test_agrees_with_counting_every_minute(gaps: list[tuple[int, bool]], allowance: int, begin: int) -> None:
    """Around the change of the clocks on 25 October; every event holds, resumes or changes the policy."""
    first = datetime(2026, 10, 19, tzinfo=UTC) + begin * MINUTE
    policy = Policy("Random", allowance * MINUTE, DESK)
    events, running, now, changes = [start(first, URGENT)], True, first, []
    for gap, flips in gaps:
        now += gap * MINUTE
        if flips:
            running = not running
            changes.append((now, running))
            events.append(resume(now) if running else pause(now))
        else:
            events.append(change(now))
    events.append(change(now, policy))
    clock, left, counts, minute = fold(events), allowance, True, first
    for until, next_counts in [*changes, (now + timedelta(days=14), False)]:
        while minute < until and left:
            left -= counts and DESK.is_open(minute)
            minute += MINUTE
        if not left:
            break
        minute, counts = until, next_counts
    if not left:
        assert clock.due_at == minute
    else:
        assert clock.due_at is None
        assert clock.remaining(now) == left * MINUTE


def test_the_engine_needs_no_django() -> None:
    code = "import sys, apps.core.clocks; raise SystemExit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
