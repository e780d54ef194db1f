"""When the renewal after one is due."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

from apps.subscriptions.models import Subscription

_MONTHS = {
    Subscription.Interval.MONTHLY: 1,
    Subscription.Interval.QUARTERLY: 3,
    Subscription.Interval.YEARLY: 12,
}


def is_last_of_month(day: date) -> bool:
    """Whether a day ends its month."""
    return day.day == monthrange(day.year, day.month)[1]


def next_renewal(day: date, interval: str, *, day_of_month: int = 0) -> date:
    """The renewal date one interval after ``day``.

    Args:
        day: a renewal date.
        interval: of :class:`Subscription.Interval`.
        day_of_month: the day on which the subscription renews where the month has it, so that one of the 31st which
            was due on 28 February is due on 31 March again; by default the day's own.

    Raises:
        OverflowError: past the end of the calendar.
    """
    if interval == Subscription.Interval.WEEKLY:
        return day + timedelta(days=7)
    months = day.year * 12 + day.month - 1 + _MONTHS[Subscription.Interval(interval)]
    year, month = months // 12, months % 12 + 1
    if year > date.max.year:
        raise OverflowError("The date lies past the end of the calendar.")
    return date(year, month, min(max(day.day, day_of_month), monthrange(year, month)[1]))
