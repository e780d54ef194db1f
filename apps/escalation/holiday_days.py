"""A calendar's public holidays and half days as proposals; a person activates what holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from apps.core.business_time import BusinessTimeError, public_holidays
from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation import clocks
from apps.escalation.binding import SCOPE, NotAllowed
from apps.escalation.models import Calendar, CalendarDay

CHANGE = "escalation.change_calendar"


class UnknownRegion(DomainError):
    """No holidays are known of this country, region or year; the message says which."""

    code = "unknown_region"


@transaction.atomic
def propose(*, calendar: Calendar, region: str, year: int, actor: User) -> int:
    """Add the holidays and half days of a region and a year as proposals, which count only when they are activated. Days that stand in
    the calendar already stay as they are.

    Args:
        region: a country, or a part of it: ``DE``, ``DE-BE``.

    Returns:
        How many days are new.

    Raises:
        UnknownRegion: nothing is known of the region, or of the year.
        NotAllowed: the person does not change calendars.
    """
    if not actor.is_active or not actor.has_perm(CHANGE):
        raise NotAllowed
    country, _, part = region.strip().upper().partition("-")
    weekly: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for hours in calendar.hours.all():
        weekly[hours.weekday].append((hours.opens, hours.closes))
    try:
        found = public_holidays.propose(country, year, part, weekly)
    except BusinessTimeError as error:
        raise UnknownRegion(f"{error.message} Use a code such as DE or DE-BE.") from None
    known = set(calendar.days.values_list("day", flat=True))
    source = f"holidays:{country}{'-' + part if part else ''}"[:40]
    new = [
        CalendarDay(
            calendar=calendar, day=one.day, name=f"{one.reason}{': ' if one.note else ''}{one.note}"[:120],
            intervals=[list(interval) for interval in one.intervals], source=source,
        )
        for one in found
        if one.day not in known
    ]  # fmt: skip
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
