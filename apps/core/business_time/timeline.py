"""A calendar's years laid end to end: looked up by bisection, laid out when first asked for, and kept."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from itertools import chain, takewhile
from zoneinfo import ZoneInfo

from apps.core.business_time.opening import (
    DAY,
    MINUTE,
    ORDINAL,
    BusinessTimeError,
    Happening,
    Interval,
    Step,
    Year,
    amount,
    build,
    day_name,
    moment,
    offset_at,
    opened,
)
from apps.core.business_time.trace import HEAD, MOST, TAIL, collapse, left_out, local_name, step

HORIZON = 20  # years that a calculation may reach
FIRST_YEAR, LAST_YEAR = 1900, 2300
CALENDARS = 32  # whose years are kept in memory; a year of ordinary hours takes about 450 kB
YEARS = 24  # kept of one calendar: more than a calculation may reach, so that none lays out a year twice

Week = tuple[tuple[int, tuple[Interval, ...]], ...]
Days = tuple[tuple[date, tuple[str, tuple[Interval, ...]]], ...]


class Timeline:
    """The opening times of one set of hours, for as many years as were asked for.

    Safe to share between threads: a year that two of them lay out at once is the same both times.
    """

    def __init__(self, zone: ZoneInfo, weekly: Week, days: Days, always_open: bool) -> None:
        self.zone = zone
        self.always_open = always_open
        self._weekly = dict.fromkeys(range(7), ((0, 1440),)) if always_open else dict(weekly)
        self._days = {day.toordinal(): why for day, why in days}
        self._named = sorted(self._days)
        self._last = max((day for day, (_, hours) in self._days.items() if hours), default=0)
        self._years: dict[int, Year] = {}

    def hours(self, ordinal: int) -> tuple[str, Sequence[Interval]]:
        """Why a date is not as its weekday, and when it is open."""
        return self._days.get(ordinal) or ("", self._weekly.get((ordinal + 6) % 7, ()))

    def year(self, number: int) -> Year:
        """Raises: BusinessTimeError: ``out_of_range``."""
        found = self._years.get(number)
        if found is None:
            if not FIRST_YEAR <= number <= LAST_YEAR:
                raise BusinessTimeError("out_of_range", f"Calendars reach from {FIRST_YEAR} to {LAST_YEAR}.")
            found = build(self.zone, number, self.hours)
            # A new dictionary rather than a smaller one, because another thread may be looking into this one.
            self._years = {**self._years, number: found} if len(self._years) < YEARS else {number: found}
        return found

    def at(self, now: int) -> int:
        """Number of the year that an instant lies in."""
        number = moment(now).year
        year = self.year(number)
        # The year in UTC, which is another one for some hours around the local New Year.
        return number - 1 if now < year.begin else number + 1 if now >= year.end else number

    def is_open(self, now: int) -> bool:
        """Whether an instant is open."""
        year = self.year(self.at(now))
        i = bisect_right(year.starts, now) - 1
        return i >= 0 and now < year.ends[i]

    def opening(self, now: int) -> int:
        """The first open instant from ``now`` on."""
        year, i = self._piece(now)
        return max(now, year.starts[i])

    def closing(self, now: int) -> int:
        """The last closing on the date of the next open instant."""
        year, i = self._piece(now)
        first = year.happenings[year.places[i]]
        closes = first.end
        # Not up to the next date only: where clocks go back across midnight, the date comes again after a bit of the next.
        for place in takewhile(lambda place: year.begins[place] < first.start + 2 * DAY, year.places[i:]):
            line = year.happenings[place]
            closes = line.end if line.day == first.day else closes
        return closes

    def working(self, low: int, high: int) -> int:
        """Open time between two instants."""
        first, last = self.at(low), self.at(high)
        if last - first > HORIZON:
            raise BusinessTimeError("beyond_horizon", f"More than {HORIZON} years lie between these times.")
        total = sum(self.year(number).total for number in range(first, last))
        return total + self.year(last).open_until(high) - self.year(first).open_until(low)

    def due(self, low: int, need: int) -> int:
        """The earliest instant by which so much open time has passed."""
        if not need:
            return low
        number = first = self.at(low)
        year = self.year(number)
        need += year.open_until(low)
        while need > year.total:
            need -= year.total
            number += 1
            year = self._next(number, first)
        return year.after(need)

    def _piece(self, now: int) -> tuple[Year, int]:
        number = first = self.at(now)
        year = self.year(number)
        i = bisect_right(year.ends, now)
        while i == len(year.ends):
            number += 1
            year, i = self._next(number, first), 0
        return year, i

    def _next(self, number: int, first: int) -> Year:
        """Another year of a search; ends searches that would not end."""
        ever = any(self._weekly.values()) or self._last >= date(min(number, LAST_YEAR), 1, 1).toordinal()
        if not ever:
            raise BusinessTimeError("never_open", "This calendar has no opening hours from then on.")
        if number - first > HORIZON:
            raise BusinessTimeError("beyond_horizon", f"That lies more than {HORIZON} years away.")
        return self.year(number)

    def local(self, now: int) -> int:
        """Microseconds of local time since 1970."""
        return now + offset_at(self.zone, now)

    def story(self, low: int, high: int) -> tuple[Step, ...]:
        """What happened between two instants, the middle of a long story collapsed."""
        parts: Parts = []
        for number in range(self.at(low), self.at(high) + 1):
            year = self.year(number)
            parts.append((year, *year.lines(max(low, year.begin), min(high, year.end))))
        count = sum(last - first for _, first, last in parts)
        if not count:
            return ()
        if self.always_open:
            return self._around_the_clock(low, high, parts)
        if count <= MOST:
            steps = _leading(parts, count)
            steps[0], steps[-1] = _cut(_line(parts, 0), low, high), _cut(_line(parts, -1), low, high)
            return tuple(steps)
        head, tail = _leading(parts, HEAD + 1), _trailing(parts, TAIL + 1)
        head[0], tail[-1] = _cut(_line(parts, 0), low, high), _cut(_line(parts, -1), low, high)
        kept = sum(each["minutes"] for each in chain(head[:-1], tail[1:]))
        used = self.working(low, high) - round(kept * MINUTE)
        more = left_out(head[-1], tail[0], used, self._reasons(head[-1]["on"], tail[0]["on"]))
        return (*head[:-1], more, *tail[1:])

    def _around_the_clock(self, low: int, high: int, parts: Parts) -> tuple[Step, ...]:
        start, end = self.local(low), self.local(high)
        text = f"{local_name(start)} to {local_name(end)} used {amount(high - low)}, open around the clock"
        said = chain.from_iterable(year.steps[first:last] for year, first, last in parts)
        clocks = [each.copy() for each in said if each["kind"] == "clock"]
        return collapse([step("open", start // DAY + ORDINAL, text, high - low), *clocks])

    def _reasons(self, first: str, last: str) -> list[str]:
        low = bisect_left(self._named, date.fromisoformat(first).toordinal())
        high = bisect_right(self._named, date.fromisoformat(last).toordinal())
        return [f"{day_name(date.fromordinal(day))} {self._days[day][0]}" for day in self._named[low:high]]


Parts = list[tuple[Year, int, int]]  # years, each with the range of its lines that counts


def _leading(parts: Parts, count: int) -> list[Step]:
    steps: list[Step] = []
    for year, first, last in parts:
        steps += [each.copy() for each in year.steps[first : min(last, first + count - len(steps))]]
    return steps


def _trailing(parts: Parts, count: int) -> list[Step]:
    steps: list[Step] = []
    for year, first, last in reversed(parts):
        steps[:0] = [each.copy() for each in year.steps[max(first, last - count + len(steps)) : last]]
    return steps


def _line(parts: Parts, end: int) -> Happening:
    """The first (0) or the last (-1) line."""
    year, first, last = next(part for part in (parts if end == 0 else reversed(parts)) if part[1] < part[2])
    return year.happenings[first if end == 0 else last - 1]


def _cut(line: Happening, low: int, high: int) -> Step:
    """What is said about a line of which only the time between two instants counts."""
    if line.kind != "open" or (low <= line.start and line.end <= high):
        return line.step.copy()
    return opened(line.day, line.offset, max(low, line.start), min(high, line.end), line.reason)


@lru_cache(maxsize=CALENDARS)
def timeline(time_zone: str, weekly: Week, days: Days, always_open: bool) -> Timeline:
    """The one timeline of these hours.

    Raises:
        BusinessTimeError: ``unknown_zone``.
    """
    try:
        return Timeline(ZoneInfo(time_zone), weekly, days, always_open)
    except (KeyError, ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError; a folder's name an OSError
        raise BusinessTimeError("unknown_zone", f"{time_zone!r} is no time zone.") from error
