"""Business time against a brute force that asks every minute, and the cases that calendars are known to get wrong."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.business_time import BusinessTimeError, Calendar, Interval

MINUTE = timedelta(minutes=1)
# A week of trouble for each zone: the local date on which the stretch begins.
TROUBLE = {
    "Europe/Berlin": (date(2026, 3, 27), date(2026, 10, 23)),
    "America/New_York": (date(2026, 3, 6), date(2026, 10, 30)),
    "Australia/Lord_Howe": (date(2026, 4, 3), date(2026, 10, 2)),  # by thirty minutes
    "Africa/Casablanca": (date(2026, 2, 13), date(2026, 3, 20)),  # around Ramadan
    "Asia/Kolkata": (date(2026, 12, 30),),  # never
    "Pacific/Apia": (date(2011, 12, 28), date(2021, 4, 2)),  # 30 December 2011 does not exist
    "Pacific/Kiritimati": (date(1994, 12, 29),),  # nor does New Year's Eve of 1994
    "America/St_Johns": (date(2006, 4, 1), date(2006, 10, 27)),  # one minute after midnight
    "America/Sao_Paulo": (date(2018, 2, 16), date(2018, 11, 2)),  # at midnight
    "America/Havana": (date(2026, 3, 7), date(2026, 10, 30)),
}


def wall_is_open(
    weekly: Mapping[int, Sequence[Interval]], days: Mapping[date, tuple[str, Sequence[Interval]]], local: datetime
) -> bool:
    hours = days[local.date()][1] if local.date() in days else weekly.get(local.weekday(), ())
    return any(start <= local.hour * 60 + local.minute < end for start, end in hours)


def minutes(calendar: Calendar, start: datetime, count: int) -> list[bool]:
    """Which of the minutes from a whole one on are open, asking the wall clock each time."""
    zone = ZoneInfo(calendar.time_zone)
    return [wall_is_open(calendar.weekly, calendar.days, (start + n * MINUTE).astimezone(zone)) for n in range(count)]


EDGES = (0, 60, 90, 120, 150, 180, 1380, 1440)  # walls at which clocks change somewhere


def hours(draw: Random) -> list[Interval]:
    marks = sorted(
        {draw.choice(EDGES) if draw.random() < 0.5 else draw.randint(0, 1440) for _ in range(draw.randint(0, 8))}
    )
    return list(zip(marks[::2], marks[1::2], strict=False))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Calendar, datetime]:
    """A calendar, mostly with the same hours every day, and a time up to two days before its zone changes the clocks."""
    chance = draw(st.randoms(use_true_random=False, note_method_calls=False))
    name = chance.choice(sorted(TROUBLE))
    first = chance.choice(TROUBLE[name])
    weekly = dict.fromkeys(range(7), hours(chance)) | {weekday: hours(chance) for weekday in chance.sample(range(7), 2)}
    days = {first + timedelta(days=n): (f"day {n}", hours(chance)) for n in chance.sample(range(6), 1)}
    start = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(name)).astimezone(UTC)
    start = start.replace(second=0, microsecond=0) + chance.randrange(2 * 1440) * MINUTE
    return Calendar("Random", name, weekly, days), start


@given(case=cases(), length=st.integers(0, 3 * 1440) | st.just(3 * 1440))
@settings(max_examples=80, deadline=None)
def test_agrees_with_every_minute(case: tuple[Calendar, datetime], length: int) -> None:
    calendar, start = case
    opened = minutes(calendar, start, length)
    end = start + length * MINUTE
    assert calendar.working_between(start, end) == sum(opened) * MINUTE
    assert calendar.is_open(start) == minutes(calendar, start, 1)[0]
    if True in opened:
        first = opened.index(True)
        last = length - opened[::-1].index(True)
        assert calendar.next_opening(start) == start + first * MINUTE
        assert calendar.add(start, sum(opened) * MINUTE).due_at == start + last * MINUTE


@given(case=cases(), working=st.integers(1, 1000))
@settings(max_examples=80, deadline=None)
def test_a_deadline_is_the_first_minute_by_which_the_time_has_passed(
    case: tuple[Calendar, datetime], working: int
) -> None:
    calendar, start = case
    opened = minutes(calendar, start, 4 * 1440)
    total = 0
    for n, is_open in enumerate(opened, 1):
        total += is_open
        if total == working:
            deadline = calendar.add(start, working * MINUTE)
            assert deadline.due_at == start + n * MINUTE
            assert sum(step["minutes"] for step in deadline.trace) == pytest.approx(working)
            return


@given(case=cases(), seconds=st.integers(0, 10**6), micro=st.integers(0, 10**6 - 1))
@settings(max_examples=60, deadline=None)
def test_adding_and_measuring_are_inverse_to_the_microsecond(
    case: tuple[Calendar, datetime], seconds: int, micro: int
) -> None:
    calendar, start = case
    working = timedelta(seconds=seconds, microseconds=micro)
    try:
        due = calendar.add(start, working).due_at
    except BusinessTimeError:  # random hours are rare enough at times, or none
        return
    assert calendar.working_between(start, due) == working


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_the_business_day_ends_at_its_last_open_minute(case: tuple[Calendar, datetime]) -> None:
    calendar, start = case
    zone = ZoneInfo(calendar.time_zone)
    opened = minutes(calendar, start, 5 * 1440)
    if True not in opened[: 2 * 1440]:
        return
    day = (start + opened.index(True) * MINUTE).astimezone(zone).date()
    same = [n for n, o in enumerate(opened) if o and (start + n * MINUTE).astimezone(zone).date() == day]
    assert calendar.end_of_business_day(start).due_at == start + (same[-1] + 1) * MINUTE


WORK = {weekday: [(540, 720), (780, 1020)] for weekday in range(5)}
BERLIN = ZoneInfo("Europe/Berlin")
DESK = Calendar(
    "Desk",
    "Europe/Berlin",
    WORK,
    {date(2026, 5, 1): ("Labour Day", []), date(2026, 12, 24): ("Christmas Eve", [(540, 720)])},
)


def berlin(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=BERLIN, fold=fold)  # type: ignore[arg-type]


def told(calendar: Calendar, start: datetime, working: timedelta) -> list[str]:
    return [step["text"] for step in calendar.add(start, working).trace]


def test_the_trace_says_why() -> None:
    assert told(DESK, berlin(2026, 4, 30, 16), timedelta(hours=3)) == [
        "Thu 30 Apr 16:00-17:00 used 60 min",
        "Fri 1 May closed: Labour Day",
        "Sat 2 May closed",
        "Sun 3 May closed",
        "Mon 4 May 09:00-11:00 used 120 min",
        "Due Mon 4 May 11:00 Europe/Berlin",
    ]


def test_half_days_close_early_and_say_so() -> None:
    lines = told(DESK, berlin(2026, 12, 24, 9), timedelta(hours=4))
    assert lines[0] == "Thu 24 Dec 09:00-12:00 used 180 min (Christmas Eve)"
    assert lines[-1] == "Due Fri 25 Dec 10:00 Europe/Berlin"  # nobody entered Christmas


def test_long_traces_are_bounded_add_up_and_fit_into_json() -> None:
    deadline = DESK.add(berlin(2026, 4, 28, 9), timedelta(hours=1400))
    assert len(deadline.trace) == 17
    assert json.loads(json.dumps(deadline.trace)) == list(deadline.trace)
    assert sum(step["minutes"] for step in deadline.trace) == 1400 * 60
    (more,) = (step["text"] for step in deadline.trace if step["kind"] == "more")
    assert more.endswith("; among them Thu 24 Dec Christmas Eve")


def test_time_used_up_at_closing_is_due_at_closing() -> None:
    assert DESK.add(berlin(2026, 4, 28, 16), timedelta(hours=1)).due_at == berlin(2026, 4, 28, 17)
    assert DESK.add(berlin(2026, 4, 28, 16), timedelta(hours=1, microseconds=1)).due_at == berlin(
        2026, 4, 29, 9
    ) + timedelta(microseconds=1)
    assert not DESK.is_open(berlin(2026, 4, 28, 17))


def test_no_working_time_is_due_at_once_even_while_closed() -> None:
    assert DESK.add(berlin(2026, 5, 1, 10), timedelta()).due_at == berlin(2026, 5, 1, 10)
    assert Calendar("Never", "UTC").add(berlin(2026, 5, 1), timedelta()).due_at == berlin(2026, 5, 1)


def test_an_interval_that_starts_in_a_gap_opens_after_it() -> None:
    night = Calendar("Night", "Europe/Berlin", {6: [(150, 300)]})  # 02:30-05:00; on 29 March 02:00 leaps to 03:00
    assert night.next_opening(berlin(2026, 3, 29, 0)) == berlin(2026, 3, 29, 3)
    assert night.working_between(berlin(2026, 3, 29), berlin(2026, 3, 30)) == timedelta(hours=2)


def test_an_interval_within_a_gap_does_not_open_that_day() -> None:
    night = Calendar("Night", "Europe/Berlin", {6: [(125, 170)]})
    assert night.next_opening(berlin(2026, 3, 29)) == berlin(2026, 4, 5, 2, 5)
    lines = told(night, berlin(2026, 3, 29), timedelta(minutes=45))
    assert "Sun 29 Mar closed: its hours fall into the clock change" in lines
    assert "Sun 29 Mar clocks go forward 60 min, from 02:00 to 03:00" in lines


def test_an_interval_that_the_clock_shows_twice_opens_twice() -> None:
    night = Calendar("Night", "Europe/Berlin", {6: [(120, 150)]})  # on 25 October 03:00 falls back to 02:00
    assert night.working_between(berlin(2026, 10, 25), berlin(2026, 10, 26)) == timedelta(hours=1)
    assert night.is_open(berlin(2026, 10, 25, 2, 10))
    assert not night.is_open(berlin(2026, 10, 25, 2, 40))
    assert night.is_open(berlin(2026, 10, 25, 2, 10, fold=1))


def test_the_day_of_the_change_has_twenty_three_or_twenty_five_hours() -> None:
    always = Calendar("Level 5", "Europe/Berlin", always_open=True)
    assert always.working_between(berlin(2026, 3, 29), berlin(2026, 3, 30)) == timedelta(hours=23)
    assert always.working_between(berlin(2026, 10, 25), berlin(2026, 10, 26)) == timedelta(hours=25)
    assert always.end_of_business_day(berlin(2026, 10, 25, 12)).due_at == berlin(2026, 10, 26)
    assert told(always, berlin(2026, 3, 28, 8, 30), timedelta(days=1)) == [
        "Sat 28 Mar 08:30 to Sun 29 Mar 09:30 used 1440 min, open around the clock",
        "Sun 29 Mar clocks go forward 60 min, from 02:00 to 03:00",
        "Due Sun 29 Mar 09:30 Europe/Berlin",
    ]


def test_a_day_that_the_zone_skipped_is_named() -> None:
    apia = Calendar("Apia", "Pacific/Apia", {weekday: [(0, 1440)] for weekday in range(7)})
    start = datetime(2011, 12, 29, 8, 30, tzinfo=ZoneInfo("Pacific/Apia"))
    lines = told(apia, start, timedelta(days=1))
    assert any(line.endswith("Fri 30 Dec does not exist") for line in lines)
    assert lines[-1] == "Due Sat 31 Dec 08:30 Pacific/Apia"


def test_the_business_day_ends_at_closing_or_at_the_next_ones() -> None:
    assert DESK.end_of_business_day(berlin(2026, 4, 30, 7)).due_at == berlin(2026, 4, 30, 17)
    assert DESK.end_of_business_day(berlin(2026, 4, 30, 12, 30)).due_at == berlin(2026, 4, 30, 17)
    assert DESK.end_of_business_day(berlin(2026, 4, 30, 17)).due_at == berlin(2026, 5, 4, 17)
    assert DESK.end_of_business_day(berlin(2026, 12, 24, 8)).due_at == berlin(2026, 12, 24, 12)
    late = Calendar("Late", "Europe/Berlin", {weekday: [(0, 60), (780, 1440)] for weekday in range(7)})
    assert late.end_of_business_day(berlin(2026, 4, 30, 14)).due_at == berlin(2026, 5, 1)


def test_intervals_may_meet_at_midnight() -> None:
    late = Calendar("Late", "Europe/Berlin", {0: [(780, 1440)], 1: [(0, 120)]})
    assert late.add(berlin(2026, 5, 4, 23), timedelta(hours=2)).due_at == berlin(2026, 5, 5, 1)
    assert told(late, berlin(2026, 5, 4, 23), timedelta(hours=2))[0] == "Mon 4 May 23:00-24:00 used 60 min"


REFUSED = {
    "unknown_zone": {"time_zone": "Europe/Atlantis"},
    "bad_weekday": {"weekly": {7: []}},
    "bad_date": {"days": {datetime(2026, 5, 1): ("Labour Day", [])}},
    "bad_interval": {"weekly": {0: [(540, 1441)]}},
    "unordered": {"weekly": {0: [(780, 1020), (540, 720)]}},
    "overlapping": {"days": {date(2026, 5, 1): ("Own", [(540, 720), (719, 800)])}},
    "always_open_with_hours": {"always_open": True, "weekly": {0: [(540, 720)]}},
}


@pytest.mark.parametrize("code", REFUSED)
def test_wrong_calendars_are_refused(code: str) -> None:
    with pytest.raises(BusinessTimeError) as refused:
        Calendar(**({"name": "Wrong", "time_zone": "Europe/Berlin"} | REFUSED[code]))
    assert refused.value.code == code


@pytest.mark.parametrize("interval", [(600, 600), (700, 600), (-1, 60), (0.5, 60), ("9:00", "10:00")])
def test_intervals_are_whole_minutes_of_one_day(interval: Interval) -> None:
    with pytest.raises(BusinessTimeError) as refused:
        Calendar("Wrong", "UTC", {0: [interval]})
    assert refused.value.code == "bad_interval"


@pytest.mark.parametrize("zone", ["", "/etc/localtime", "../UTC", "Europe"])
def test_a_zone_is_a_name(zone: str) -> None:
    with pytest.raises(BusinessTimeError) as refused:
        Calendar("Wrong", zone)
    assert refused.value.code == "unknown_zone"


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(BusinessTimeError) as refused:
        call()
    return refused.value.code


def test_what_cannot_be_computed_is_refused_and_does_not_loop() -> None:
    now, hour = berlin(2026, 5, 4), timedelta(hours=1)
    never = Calendar("Never", "Europe/Berlin", {0: []}, {date(2025, 1, 1): ("Once", [(0, 60)])})
    rare = Calendar(
        "Rare", "Europe/Berlin", {}, {date(2027, 1, 1): ("Once", [(0, 60)]), date(2100, 1, 1): ("Later", [(0, 60)])}
    )
    assert code_of(lambda: never.add(now, hour)) == "never_open"
    assert code_of(lambda: never.next_opening(now)) == "never_open"
    assert code_of(lambda: never.end_of_business_day(now)) == "never_open"
    assert rare.add(now, hour).due_at == berlin(2027, 1, 1, 1)
    assert code_of(lambda: rare.add(now, 2 * hour)) == "beyond_horizon"
    assert code_of(lambda: DESK.add(now, timedelta(days=365 * 10))) == "beyond_horizon"
    assert code_of(lambda: DESK.working_between(now, berlin(2056, 1, 1))) == "beyond_horizon"
    assert code_of(lambda: DESK.add(now, -hour)) == "negative"
    assert code_of(lambda: DESK.working_between(now, now - hour)) == "backwards"
    assert code_of(lambda: DESK.is_open(datetime(2026, 5, 4))) == "naive_time"
    assert code_of(lambda: DESK.is_open(datetime(1800, 1, 1, tzinfo=UTC))) == "out_of_range"
    assert code_of(lambda: DESK.add(datetime.max.replace(tzinfo=UTC), hour)) == "out_of_range"
    assert code_of(lambda: DESK.is_open(datetime.max.replace(tzinfo=ZoneInfo("America/New_York")))) == "out_of_range"


def test_calendars_are_values() -> None:
    same = Calendar("Desk", "Europe/Berlin", dict(DESK.weekly), dict(DESK.days))
    assert same == DESK
    assert hash(same) == hash(DESK)
    assert pickle.loads(pickle.dumps(DESK)) == DESK
    assert Calendar("Other", "Europe/Berlin", WORK) != DESK
    with pytest.raises(TypeError):
        DESK.days[date(2026, 5, 2)] = ("Closed", [])  # type: ignore[index]
