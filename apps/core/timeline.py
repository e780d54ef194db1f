"""A calendar's years laid end to end: looked up by bisection, laid out when first asked for, and kept."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from itertools import chain, islice, takewhile
from zoneinfo import ZoneInfo

from apps.core.opening import (
    DAY,
    ORDINAL,
    BusinessTimeError,
    Happening,
    Interval,
    Year,
    amount,
    build,
    day_name,
    moment,
    offset_at,
)
from apps.core.trace import HEAD, TAIL, Step, collapse, happened, left_out, local_name, step

HORIZON = 20  # years that a calculation may reach
FIRST_YEAR, LAST_YEAR = 1900, 2300
CALENDARS = 256  # whose years are kept in memory; a year of ordinary hours takes about 100 kB

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
            found = self._years[number] = build(self.zone, number, self.hours)
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
        ranges: Ranges = []
        for number in range(self.at(low), self.at(high) + 1):
            year = self.year(number)
            first, last = year.lines(max(low, year.begin), min(high, year.end))
            ranges.append((year.happenings, range(first, last)))
        if self.always_open:
            return self._around_the_clock(low, high, _walk(ranges))
        count = sum(len(places) for _, places in ranges)
        if count <= HEAD + TAIL + 1:
            return tuple(happened(line, low, high) for line in _walk(ranges))
        head = [happened(line, low, high) for line in islice(_walk(ranges), HEAD + 1)]
        tail = [happened(line, low, high) for line in islice(_walk_back(ranges), TAIL + 1)][::-1]
        kept = sum(each["minutes"] for each in chain(head[:-1], tail[1:]))
        used = self.working(low, high) - round(kept * 60_000_000)
        more = left_out(head[-1], tail[0], used, self._reasons(head[-1]["on"], tail[0]["on"]))
        return (*head[:-1], more, *tail[1:])

    def _around_the_clock(self, low: int, high: int, happenings: Iterable[Happening]) -> tuple[Step, ...]:
        start, end = self.local(low), self.local(high)
        text = f"{local_name(start)} to {local_name(end)} used {amount(high - low)}, open around the clock"
        clocks = [happened(line, low, high) for line in happenings if line.kind == "clock"]
        return collapse([step("open", start // DAY + ORDINAL, text, high - low), *clocks])

    def _reasons(self, first: str, last: str) -> list[str]:
        low = bisect_left(self._named, date.fromisoformat(first).toordinal())
        high = bisect_right(self._named, date.fromisoformat(last).toordinal())
        return [f"{day_name(date.fromordinal(day))} {self._days[day][0]}" for day in self._named[low:high]]


Ranges = list[tuple[tuple[Happening, ...], range]]


def _walk(ranges: Ranges) -> Iterator[Happening]:
    return (lines[i] for lines, places in ranges for i in places)


def _walk_back(ranges: Ranges) -> Iterator[Happening]:
    return (lines[i] for lines, places in reversed(ranges) for i in reversed(places))


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
