"""How fast deadlines are computed by a business calendar, beside a loop over every minute.

    python benchmarks/business_time.py [--deadlines 100000] [--sample 100] [--seed 1]

Needs no database. The calendar has two intervals on weekdays, a short Saturday, and the public holidays and half days of
fifteen years; starts are spread over ten of those years, working times between one minute and sixty hours. The
straightforward loop computes a sample of the same deadlines, and both must agree. Each figure is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path[0] = str(Path(__file__).parents[1])  # instead of this folder, whose names must not hide modules

from apps.core.business_time import Calendar  # noqa: E402
from apps.core.business_time.public_holidays import as_days, propose  # noqa: E402
from apps.core.clocks import Event, Kind, Policy, fold  # noqa: E402

FIRST, YEARS = 2020, 10
MINUTE = timedelta(minutes=1)
WEEK = {weekday: [(540, 720), (780, 1080)] for weekday in range(5)} | {5: [(600, 840)]}
Case = tuple[datetime, timedelta]


def timed(what: str, count: int, work: Callable[[], Any]) -> Any:
    """Processor time stands beside the wall's, because it does not depend on who else uses the machine."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    each = round(wall / count * 1e6, 1)
    figures = {"seconds": round(wall, 3), "processor_seconds": round(processor, 3), "microseconds_each": each}
    print(json.dumps({"what": what, "count": count, **figures}), flush=True)
    return result


def calendar(zone: str, country: str, name: str) -> Calendar:
    days: dict[date, Any] = {}
    for year in range(FIRST, FIRST + YEARS + 5):
        days |= as_days(propose(country, year, weekly=WEEK))
    return Calendar(name, zone, WEEK, days)


def cases(count: int, draw: random.Random) -> list[Case]:
    first = datetime(FIRST, 1, 1, tzinfo=UTC)
    return [
        (first + draw.randrange(YEARS * 365 * 1440) * MINUTE, draw.randrange(1, 60 * 60) * MINUTE) for _ in range(count)
    ]


def minute_by_minute(desk: Calendar, start: datetime, working: timedelta) -> datetime:
    """What one writes first: go on by a minute, ask whether it is open."""
    zone, at, left = ZoneInfo(desk.time_zone), start, working
    while left > timedelta():
        local = at.astimezone(zone)
        special = desk.days.get(local.date())
        hours = special[1] if special else desk.weekly.get(local.weekday(), ())
        now = local.hour * 60 + local.minute
        if any(opens <= now < closes for opens, closes in hours):
            left -= MINUTE
        at += MINUTE
    return at


def clock(desk: Calendar, start: datetime, working: timedelta) -> datetime | None:
    """A clock that was held twice and changed its policy."""
    first, second = Policy("First", working, desk), Policy("Second", working * 2, desk)
    hour = timedelta(hours=1)
    kinds = (Kind.PAUSE, Kind.RESUME, Kind.PAUSE, Kind.RESUME)
    events = [Event(kind, start + n * hour) for n, kind in enumerate(kinds, 1)]
    return fold([Event(Kind.START, start, first), *events, Event(Kind.POLICY_CHANGE, start + 5 * hour, second)]).due_at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deadlines", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    work = cases(options.deadlines, random.Random(options.seed))
    desk = calendar("Europe/Berlin", "DE", "Desk")

    # The first of these lays out the years, as a worker does after its start.
    due = timed("deadlines", len(work), lambda: [desk.add(start, working).due_at for start, working in work])
    timed("deadlines and why", len(work), lambda: sum(len(desk.add(start, working).trace) for start, working in work))
    timed(
        "time between",
        len(work),
        lambda: [desk.working_between(start, end) for (start, _), end in zip(work, due, strict=True)],
    )
    few = work[: max(1, len(work) // 10)]
    timed("clocks of six events", len(few), lambda: [clock(desk, start, working) for start, working in few])
    tallinn = timed("calendar from its rows", 1, lambda: calendar("Europe/Tallinn", "EE", "Tallinn"))
    timed("first deadline of a calendar", 1, lambda: tallinn.add(*work[0]))
    again = dict(desk.days)
    timed("the same calendar again", 1, lambda: Calendar("Desk", "Europe/Berlin", WEEK, again))
    sample = work[: options.sample]
    slow = timed("minute by minute", len(sample), lambda: [minute_by_minute(desk, *each) for each in sample])
    assert slow == due[: len(sample)], "the loop found other deadlines"


if __name__ == "__main__":
    main()
