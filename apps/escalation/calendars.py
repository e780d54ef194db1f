"""Calendars of rows as calendars that count, and which one counts for what.

The rows are read each time, so that a holiday that was activated counts everywhere from then on; the tables that are laid
out of them are kept per process. A sweep reads the rows once for all of its clocks (:class:`Calendars`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from apps.core.business_time import Calendar
from apps.core.models import Scope
from apps.escalation.models import Calendar as Row
from apps.escalation.models import CalendarDay, OpenHours, Team

ALWAYS = "always"
BUSINESS = "business"
NINE_TO_FIVE = tuple((weekday, 540, 1020) for weekday in range(5))


def always() -> Row:
    """The calendar that never closes."""
    return Row.objects.get_or_create(slug=ALWAYS, defaults={"name": "Around the clock", "always_open": True})[0]


def business() -> Row:
    """The calendar of those who have none of their own; Monday to Friday 09:00-17:00 UTC until somebody sets it."""
    row, created = Row.objects.get_or_create(slug=BUSINESS, defaults={"name": "Business hours", "time_zone": "UTC"})
    if created:
        OpenHours.objects.bulk_create(
            OpenHours(calendar=row, weekday=weekday, opens=opens, closes=closes)
            for weekday, opens, closes in NINE_TO_FIVE
        )
    return row


def of_scope(scope: Scope | None) -> Row:
    """The calendar of the team to which a scope belongs."""
    team = Team.objects.select_related("calendar").filter(scope=scope).first() if scope else None
    return team.calendar if team else business()


def of(row: Row) -> Calendar:
    """The calendar of a row.

    Raises:
        BusinessTimeError: if its hours cannot be read.
    """
    return Calendars([row.pk])[row.pk]


class Calendars:
    """Calendars by the id of their row, read in three statements."""

    def __init__(self, ids: Iterable[int]) -> None:
        wanted = set(ids)
        self._hours: dict[int, list[tuple[int, int, int]]] = {pk: [] for pk in wanted}
        self._days: dict[int, list[tuple[Any, str, Any]]] = {pk: [] for pk in wanted}
        hours = OpenHours.objects.filter(calendar__in=wanted).order_by("calendar", "weekday", "opens")
        for pk, *hour in hours.values_list("calendar", "weekday", "opens", "closes"):
            self._hours[pk].append((hour[0], hour[1], hour[2]))
        days = CalendarDay.objects.filter(calendar__in=wanted, active=True).order_by("calendar", "day")
        for pk, day, name, intervals in days.values_list("calendar", "day", "name", "intervals"):
            self._days[pk].append((day, name, tuple((start, end) for start, end in intervals)))
        self._rows = {row.pk: row for row in Row.objects.filter(pk__in=wanted)}

    def __getitem__(self, pk: int) -> Calendar:
        row = self._rows[pk]
        return _built(row.name, row.time_zone, row.always_open, tuple(self._hours[pk]), tuple(self._days[pk]))


@lru_cache(maxsize=256)
def _built(
    name: str, zone: str, always_open: bool, hours: tuple[tuple[int, int, int], ...], days: tuple[Any, ...]
) -> Calendar:
    if always_open:
        return Calendar(name, zone, always_open=True)
    weekly: dict[int, list[tuple[int, int]]] = {}
    for weekday, opens, closes in hours:
        weekly.setdefault(weekday, []).append((opens, closes))
    return Calendar(name, zone, weekly, {day: (why, intervals) for day, why, intervals in days})
