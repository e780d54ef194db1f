"""The opening times of one year as sorted instants: what ``business_time`` looks things up in.

Opening is decided by the wall clock: an instant is open when the local time that a clock on the wall shows then lies in an
interval of the local date. What lies between two instants is real, elapsed time. So

- an interval that starts in a daylight-saving gap opens when the gap ends, one that lies in it does not open that day;
- an interval that the clock shows twice opens twice, and both passes count;
- a date that the zone skipped has no instants, and none is open.

Instants are whole microseconds since 1970 in UTC, so that sums are exact. Days are ``date.toordinal()``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TypedDict
from zoneinfo import ZoneInfo


class BusinessTimeError(ValueError):
    """A refusal. ``code`` is stable and for programs; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


Interval = tuple[int, int]  # minutes since local midnight, the end excluded; 1440 is 24:00
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 1440 * MINUTE
ORDINAL = EPOCH.toordinal()
# Probes at this distance find every change: no zone has changed its offset twice within four days since 1900 (the closest
# two are those of Africa/Freetown in the time zone database 2026).
PROBE = DAY
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def instant(at: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    gone = at - EPOCH
    return gone.days * DAY + gone.seconds * SECOND + gone.microseconds


def moment(at: int) -> datetime:
    """The aware UTC time of an instant."""
    return EPOCH + timedelta(microseconds=at)


def day_name(day: date) -> str:
    """``Mon 4 May``."""
    return f"{WEEKDAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]}"


def wall(minute: int) -> str:
    """``09:30``; midnight at the end of a day is ``24:00``."""
    return f"{minute // 60:02}:{minute % 60:02}"


def amount(span: int) -> str:
    """A length of time in words: ``90 min``, ``1 min 30 s``."""
    minutes, rest = divmod(span, MINUTE)
    if not rest:
        return f"{minutes} min"
    seconds = f"{rest / SECOND:g} s"
    return f"{minutes} min {seconds}" if minutes else seconds


class Step(TypedDict):
    """One line of a trace, ready for JSON.

    ``kind`` is ``open``, ``closed``, ``clock`` (clocks change), ``more`` (a collapsed middle), ``due``, or one of a deadline
    clock's own: ``start``, ``run``, ``hold``, ``policy``, ``met``. ``on`` is the local date, ``text`` is for people,
    ``minutes`` is the working time used.
    """

    kind: str
    on: str
    text: str
    minutes: float


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a year: an interval that is open, a day that is closed, or a change of the clocks.

    Attributes:
        kind: ``open``, ``closed`` or ``clock``.
        day: the local date.
        start, end: of what happens; the same for a change of the clocks. A closed day starts at the last change in it.
        offset: of local time from UTC.
        reason: why the day is not as its weekday; empty on ordinary days.
        step: what is said about it when all of it counts. Copy it. Ready made, because traces are written far more often
            than years are laid out.
    """

    kind: str
    day: int
    start: int
    end: int
    offset: int
    reason: str
    step: Step


@dataclass(frozen=True, slots=True)
class Year:
    """Everything of one local year, sorted by time.

    Attributes:
        begin, end: instants; the next year begins where this one ends.
        happenings, begins, steps: what happens, when each of them begins, what is said about it.
        starts, ends, places: the open pieces, and where each stands among the happenings.
        before: open time of the year before each piece.
        until: open time of the year up to the end of each piece.
        total: open time of the whole year.
    """

    begin: int
    end: int
    happenings: tuple[Happening, ...]
    begins: list[int]
    steps: list[Step]
    starts: list[int]
    ends: list[int]
    places: list[int]
    before: list[int]
    until: list[int]
    total: int

    def open_until(self, at: int) -> int:
        """Open time from the beginning of the year to an instant in it."""
        i = bisect_right(self.starts, at) - 1
        return 0 if i < 0 else self.before[i] + min(at, self.ends[i]) - self.starts[i]

    def after(self, open_time: int) -> int:
        """The earliest instant by which so much of this year's open time has gone; 0 < open_time <= total."""
        i = bisect_left(self.until, open_time)
        return self.starts[i] + open_time - self.before[i]

    def lines(self, start: int, end: int) -> tuple[int, int]:
        """The range of happenings that touch a stretch of time. They do not overlap."""
        first = bisect_left(self.begins, start)
        if first and self.happenings[first - 1].end > start:
            first -= 1
        return first, bisect_left(self.begins, end)


Hours = Callable[[int], tuple[str, Sequence[Interval]]]  # a day's reason and intervals


def offset_at(zone: ZoneInfo, at: int) -> int:
    """Microseconds that local time is ahead of UTC."""
    gone = moment(at).astimezone(zone).utcoffset() or timedelta()
    return gone.days * DAY + gone.seconds * SECOND + gone.microseconds


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    """The first instant with the offset of ``high``, to the second."""
    before = offset_at(zone, low)
    while high - low > SECOND:
        middle = (low + high) // 2 // SECOND * SECOND
        if middle <= low:
            break
        low, high = (middle, high) if offset_at(zone, middle) == before else (low, middle)
    return high


def stretches(zone: ZoneInfo, begin: int, end: int) -> list[tuple[int, int, int]]:
    """Cut a span of time where the zone's offset changes: (start, end, offset)."""
    found = []
    start, offset = begin, offset_at(zone, begin)
    for low, high in pairwise([*range(begin, end, PROBE), end]):
        if (later := offset_at(zone, high)) != offset:
            change = _change(zone, low, high)
            if change < end:
                found.append((start, change, offset))
                start, offset = change, later
    return [*found, (start, end, offset)]


def midnight(zone: ZoneInfo, year: int) -> int:
    """When the local year begins. Where New Year's midnight does not exist, any instant will do that both years share."""
    return instant(datetime(year, 1, 1, tzinfo=zone).astimezone(UTC))


def build(zone: ZoneInfo, year: int, hours: Hours) -> Year:
    """Lay out a year. Takes some milliseconds; keep the result."""
    begin, end = midnight(zone, year), midnight(zone, year + 1)
    cuts = stretches(zone, begin, end)
    parts: dict[int, list[tuple[int, int, int]]] = {}  # by date: instants and the offset they have
    for start, stop, offset in cuts:
        for day in range((start + offset) // DAY, (stop - 1 + offset) // DAY + 1):
            dawn = day * DAY - offset
            parts.setdefault(day, []).append((max(start, dawn), min(stop, dawn + DAY), offset))
    happenings = [line for day, pieces in parts.items() for line in _day(day + ORDINAL, pieces, hours)]
    happenings += [_clock(at, before, offset) for (_, _, before), (at, _, offset) in pairwise(cuts)]
    happenings.sort(key=lambda line: (line.start, line.end))
    return _table(begin, end, happenings)


def opened(day: int, offset: int, low: int, high: int, reason: str) -> Step:
    """What is said about open time of a date between two instants."""
    dawn = (day - ORDINAL) * DAY - offset
    hours = f"{wall((low - dawn) // MINUTE)}-{wall((high - dawn) // MINUTE)}"
    text = f"{day_name(date.fromordinal(day))} {hours} used {amount(high - low)}" + (f" ({reason})" if reason else "")
    return {"kind": "open", "on": date.fromordinal(day).isoformat(), "text": text, "minutes": (high - low) / MINUTE}


def _day(day: int, parts: list[tuple[int, int, int]], hours: Hours) -> Iterator[Happening]:
    reason, intervals = hours(day)
    seen = False
    for start, stop, offset in parts:
        dawn = (day - ORDINAL) * DAY - offset
        for opens, closes in intervals:
            low, high = max(start, dawn + opens * MINUTE), min(stop, dawn + closes * MINUTE)
            if low < high:
                seen = True
                yield Happening("open", day, low, high, offset, reason, opened(day, offset, low, high, reason))
    if not seen:
        why = reason or ("its hours fall into the clock change" if intervals else "")
        text = f"{day_name(date.fromordinal(day))} closed" + (f": {why}" if why else "")
        start, stop, offset = parts[-1]
        yield Happening("closed", day, start, stop, offset, reason, _said("closed", day, text))


def _said(kind: str, day: int, text: str) -> Step:
    return {"kind": kind, "on": date.fromordinal(day).isoformat(), "text": text, "minutes": 0.0}


def _clock(at: int, before: int, after: int) -> Happening:
    shift, way = abs(after - before), "forward" if after > before else "back"
    old, new = at + before, at + after
    day = old // DAY + ORDINAL
    text = f"{day_name(date.fromordinal(day))} clocks go {way} {amount(shift)}, from {wall(old % DAY // MINUTE)}"
    text += f" to {wall(new % DAY // MINUTE)}"
    if new // DAY > old // DAY:  # the whole day, when midnight leaps to the next midnight
        skipped = [day_name(date.fromordinal(d + ORDINAL)) for d in range(old // DAY, new // DAY) if old % DAY == 0]
        text += f"; {', '.join(skipped)} does not exist" if skipped else ""
    return Happening("clock", day, at, at, after, "", _said("clock", day, text))


def _table(begin: int, end: int, happenings: list[Happening]) -> Year:
    places = [i for i, line in enumerate(happenings) if line.kind == "open"]
    starts = [happenings[i].start for i in places]
    ends = [happenings[i].end for i in places]
    before, until, total = [], [], 0
    for low, high in zip(starts, ends, strict=True):
        before.append(total)
        total += high - low
        until.append(total)
    begins = [line.start for line in happenings]
    steps = [line.step for line in happenings]
    return Year(begin, end, tuple(happenings), begins, steps, starts, ends, places, before, until, total)
