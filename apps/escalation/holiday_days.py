"""Proposing a calendar's holidays from the ``holidays`` package; a person activates what holds."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import holidays
from django.db import transaction

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation import clocks
from apps.escalation.binding import SCOPE, NotAllowed
from apps.escalation.models import Calendar, CalendarDay

CHANGE = "escalation.change_calendar"
YEARS = range(2000, 2101)


class UnknownRegion(DomainError):
    """The package has no holidays of this country or region."""

    code = "unknown_region"

    def __init__(self, region: str) -> None:
        super().__init__(f"There are no holidays known of {region!r}; use a code such as DE or DE-BE.")


def countries() -> list[str]:
    """Codes of the countries whose holidays are known."""
    return sorted(holidays.list_supported_countries())


@transaction.atomic
def propose(*, calendar: Calendar, region: str, year: int, actor: User) -> int:
    """Add the holidays of a region and a year as proposals, which count only when they are activated. Days that stand in
    the calendar already stay as they are.

    Args:
        region: a country, or a part of it: ``DE``, ``DE-BE``.

    Returns:
        How many days are new.

    Raises:
        UnknownRegion: the package does not know the region, or the year is none.
        NotAllowed: the person does not change calendars.
    """
    if not actor.is_active or not actor.has_perm(CHANGE):
        raise NotAllowed
    country, _, part = region.strip().upper().partition("-")
    if year not in YEARS:
        raise UnknownRegion(f"{region} {year}")
    try:
        found = holidays.country_holidays(country, subdiv=part or None, years=year)
    except NotImplementedError:
        raise UnknownRegion(region) from None
    known = set(calendar.days.values_list("day", flat=True))
    source = f"holidays:{country}{'-' + part if part else ''}"[:40]
    new = [
        CalendarDay(calendar=calendar, day=day, name=name[:120], source=source)
        for day, name in sorted(found.items())
        if day not in known
    ]
    CalendarDay.objects.bulk_create(new)
    return len(new)


@transaction.atomic
def activate(*, calendar: Calendar, days: Collection[int], actor: User, now: datetime) -> int:
    """Let proposed days count from now on, and count the running deadlines again. Returns how many deadlines moved.

    Raises:
        NotAllowed: the person does not change calendars.
    """
    if not actor.is_active or not actor.has_perm(CHANGE):
        raise NotAllowed
    rows = list(calendar.days.select_for_update(no_key=True).filter(pk__in=days, active=False))
    for row in rows:
        row.active, row.activated_by = True, actor
        row.save(update_fields=["active", "activated_by"])
    if not rows:
        return 0
    record(
        Entry(
            scope=SCOPE, actor=actor, action="calendar_days_activated", subject=f"calendar:{calendar.pk}",
            rationale=", ".join(f"{row.day} {row.name}" for row in rows)[:2_000], payload={"days": len(rows)},
        )
    )  # fmt: skip
    return clocks.recompute(calendar=calendar, now=now)
