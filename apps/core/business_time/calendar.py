"""Business time: when a calendar is open, how much open time passed, and when so much of it will have passed.

Pure: no database, no clock, no Django. Time is elapsed, real time; the wall clock of the calendar's zone decides what is open
(``opening`` says what that means when clocks change). A deadline is the earliest instant by which the working time has
passed, so one that is used up at closing time falls due at closing, not at the next opening.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from apps.core.business_time.opening import DAY, ORDINAL, BusinessTimeError, Interval, Step, instant, moment
from apps.core.business_time.timeline import FIRST_YEAR, LAST_YEAR, Timeline, timeline
from apps.core.business_time.trace import local_name, step

__all__ = ["BusinessTimeError", "Calendar", "Deadline", "Interval", "Step"]

MIDNIGHT = 1440  # minutes: 24:00
Day = tuple[str, Sequence[Interval]]  # why the date is not as its weekday, and when it is open


@dataclass(frozen=True)
class Deadline:
    """When something is due, in UTC, and why.

    The trace is written when it is first read: a recalculation of many deadlines needs few of the stories.
    """

    due_at: datetime
    _tell: Callable[[], tuple[Step, ...]] = field(repr=False, compare=False)

    @cached_property
    def trace(self) -> tuple[Step, ...]:
        """Steps in order, ready for JSON, at most seventeen: the middle of a long story is collapsed."""
        return self._tell()


@dataclass(frozen=True)
class Calendar:
    """Opening hours of a place. Calendars with equal hours share the tables that are laid out of them.

    Times that are given must be aware. Every method that computes may raise ``BusinessTimeError`` with the code
    ``naive_time`` or ``out_of_range`` (years before 1900 or after 2300).

    Args:
        name: for people.
        time_zone: IANA name, such as ``Europe/Berlin``.
        weekly: by weekday (0 is Monday), intervals in minutes since local midnight, in order; ``(780, 1440)`` is 13:00-24:00.
        days: by date, the reason and the intervals that replace the weekday's; none on a holiday.
        always_open: around the clock, every day; then neither ``weekly`` nor ``days`` may be given.

    Raises:
        BusinessTimeError: ``unknown_zone``, ``bad_weekday``, ``bad_date``, ``bad_interval``, ``unordered``,
            ``overlapping``, ``always_open_with_hours``.
    """

    name: str
    time_zone: str
    weekly: Mapping[int, Sequence[Interval]] = field(default_factory=dict, hash=False)
    days: Mapping[date, Day] = field(default_factory=dict, hash=False)
    always_open: bool = False
    _timeline: Timeline = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.always_open and (any(self.weekly.values()) or self.days):
            message = "A calendar that is always open has no hours or days of its own."
            raise BusinessTimeError("always_open_with_hours", message)
        weekly = tuple(
            (_weekday(number), _hours(f"weekday {number}", self.weekly[number])) for number in sorted(self.weekly)
        )
        days = tuple((_date(day), (why, _hours(str(day), hours))) for day, (why, hours) in sorted(self.days.items()))
        object.__setattr__(self, "weekly", MappingProxyType(dict(weekly)))
        object.__setattr__(self, "days", MappingProxyType(dict(days)))
        object.__setattr__(self, "_timeline", timeline(self.time_zone, weekly, days, self.always_open))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.time_zone, dict(self.weekly), dict(self.days), self.always_open)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return self._timeline.zone

    def is_open(self, at: datetime) -> bool:
        """Whether it is open; at closing time it is not any more."""
        return self._timeline.is_open(_instant(at))

    def next_opening(self, at: datetime) -> datetime:
        """The first open instant from ``at`` on, in UTC: ``at`` itself while it is open.

        Raises:
            BusinessTimeError: ``never_open``, ``beyond_horizon``.
        """
        return moment(self._timeline.opening(_instant(at)))

    def working_between(self, start: datetime, end: datetime) -> timedelta:
        """Open time between two instants.

        Raises:
            BusinessTimeError: ``backwards`` if the end lies before the start, ``beyond_horizon``.
        """
        low, high = _instant(start), _instant(end)
        if high < low:
            raise BusinessTimeError("backwards", f"{end} lies before {start}.")
        return timedelta(microseconds=self._timeline.working(low, high))

    def add(self, start: datetime, working: timedelta) -> Deadline:
        """The earliest instant by which ``working`` of open time has passed since ``start``.

        Raises:
            BusinessTimeError: ``negative``, ``never_open``, ``beyond_horizon`` (more than 20 years away).
        """
        need = working // timedelta(microseconds=1)
        if need < 0:
            raise BusinessTimeError("negative", "Working time cannot be negative.")
        low = _instant(start)
        return self._deadline(low, self._timeline.due(low, need))

    def end_of_business_day(self, at: datetime) -> Deadline:
        """When the business day closes that ``at`` lies in or before; after closing, the next one's.

        A business day is a local date with opening hours. It ends at the last closing on that date, 24:00 at the latest.

        Raises:
            BusinessTimeError: ``never_open``, ``beyond_horizon``.
        """
        low = _instant(at)
        return self._deadline(low, self._timeline.closing(low))

    def explain(self, start: datetime, end: datetime) -> tuple[Step, ...]:
        """What the calendar did between two instants, as in the trace of a deadline; nothing if the end lies before."""
        low, high = _instant(start), _instant(end)
        return self._timeline.story(low, high) if low < high else ()

    def _deadline(self, low: int, due: int) -> Deadline:
        return Deadline(moment(due), partial(self._story, low, due))

    def _story(self, low: int, due: int) -> tuple[Step, ...]:
        local = self._timeline.local(due)
        last = step("due", local // DAY + ORDINAL, f"Due {local_name(local)} {self.time_zone}")
        return (*self._timeline.story(low, due), last)


def _instant(at: datetime) -> int:
    if at.tzinfo is None or at.utcoffset() is None:
        raise BusinessTimeError("naive_time", f"{at} has no time zone.")
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise BusinessTimeError("out_of_range", f"Calendars reach from {FIRST_YEAR} to {LAST_YEAR}.")
    return instant(at.astimezone(UTC))


def _weekday(weekday: int) -> int:
    if weekday not in range(7):
        raise BusinessTimeError("bad_weekday", f"{weekday!r} is no weekday: 0 is Monday, 6 is Sunday.")
    return weekday


def _date(day: date) -> date:
    # A datetime is a date to Python, but would never be found by the date it lies on.
    if isinstance(day, datetime) or not isinstance(day, date):
        raise BusinessTimeError("bad_date", f"{day!r} is no date.")
    return day


def _hours(where: str, intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """The intervals as tuples, which may touch but not overlap."""
    checked = tuple((start, end) for start, end in intervals)
    for start, end in checked:
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= MIDNIGHT):
            message = f"On {where}, {start!r}-{end!r} is no interval of minutes between 0 and {MIDNIGHT} (24:00)."
            raise BusinessTimeError("bad_interval", message)
    for (start, end), (later, _) in pairwise(checked):
        if later < start:
            raise BusinessTimeError("unordered", f"On {where}, the intervals are not in order.")
        if later < end:
            raise BusinessTimeError("overlapping", f"On {where}, two intervals overlap.")
    return checked
