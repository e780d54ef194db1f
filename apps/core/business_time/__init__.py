"""Business time: calendars of several intervals a day, holidays and time zones, and deadlines that say why they are.

:mod:`~apps.core.business_time.calendar` computes deadlines, :mod:`~apps.core.business_time.opening` reads what a calendar
is made of, :mod:`~apps.core.business_time.timeline` lays its open hours out, :mod:`~apps.core.business_time.trace` says how
a deadline came about, and :mod:`~apps.core.business_time.public_holidays` proposes holidays by country.
"""

from apps.core.business_time.calendar import BusinessTimeError, Calendar, Deadline, Interval, Step

__all__ = ["BusinessTimeError", "Calendar", "Deadline", "Interval", "Step"]
