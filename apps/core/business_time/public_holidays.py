"""Public holidays as proposals for a calendar's days. A person looks at them and activates the right ones.

The dates come from the ``holidays`` package. They are proposals because whether a shop closes on a holiday is its own
decision, and because some dates are estimates: of moving feasts by the moon, and of hours where a law says "half a day".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import holidays

from apps.core.business_time.opening import BusinessTimeError, Interval, wall

NOON = 720  # minutes since midnight
# As the package writes half days: "Christmas Eve (from 1pm)", "Pre-holiday day (workday shortened by 3 hours)".
_FROM = re.compile(r"\(from (\d{1,2})(?::(\d\d))?\s*(am|pm)\)", re.IGNORECASE)
_SHORTENED = re.compile(r"shortened by (\d+) hours?", re.IGNORECASE)


@dataclass(frozen=True)
class Proposal:
    """A date that may be no ordinary day.

    Attributes:
        day: the local date.
        reason: the holiday's name, in English where the package knows it, otherwise in the country's language.
        intervals: what is left of the weekday's hours; none on a whole holiday.
        half: whether it is a half day.
        note: what a person should check before activating it; empty if nothing.
    """

    day: date
    reason: str
    intervals: tuple[Interval, ...] = ()
    half: bool = False
    note: str = ""


def countries() -> dict[str, tuple[str, ...]]:
    """The countries that are known, by ISO 3166 code, with the codes of their subdivisions."""
    known = holidays.list_supported_countries(include_aliases=False)
    return {country: tuple(parts) for country, parts in sorted(known.items())}


def propose(
    country: str, year: int, subdivision: str = "", weekly: Mapping[int, Sequence[Interval]] | None = None
) -> tuple[Proposal, ...]:
    """The public holidays and half days of a year, sorted by date.

    Args:
        country: ISO 3166 code, such as ``DE``.
        year: one year.
        subdivision: its code, such as ``BY``; without it, only what holds in the whole country.
        weekly: the calendar's ordinary hours, which half days cut short; without them half days have no hours.

    Raises:
        BusinessTimeError: ``unknown_country``, ``unknown_subdivision``, ``unknown_year``.
    """
    _check(country, year, subdivision)
    whole = _named(country, year, subdivision, "public")
    half = _named(country, year, subdivision, "half_day")
    found = [Proposal(day, name, note=_estimated(name)) for day, name in whole.items()]
    hours = weekly or {}
    found += [_half(day, name, hours.get(day.weekday(), ())) for day, name in half.items() if day not in whole]
    return tuple(sorted(found, key=lambda each: each.day))


def as_days(proposals: Iterable[Proposal]) -> dict[date, tuple[str, tuple[Interval, ...]]]:
    """Activated proposals as the ``days`` of a ``Calendar``."""
    return {each.day: (each.reason, each.intervals) for each in proposals}


def _check(country: str, year: int, subdivision: str) -> None:
    known = countries()
    if country not in known:
        raise BusinessTimeError("unknown_country", f"No holidays are known for the country {country!r}.")
    if subdivision and subdivision not in known[country]:
        raise BusinessTimeError("unknown_subdivision", f"{country} has no subdivision {subdivision!r} with holidays.")
    kind = type(holidays.country_holidays(country))
    if not kind.start_year <= year <= kind.end_year:
        message = f"Holidays of {country} are known from {kind.start_year} to {kind.end_year}."
        raise BusinessTimeError("unknown_year", message)


def _named(country: str, year: int, subdivision: str, category: str) -> dict[date, str]:
    kind = type(holidays.country_holidays(country))
    if category not in kind.supported_categories:
        return {}
    english = [language for language in kind.supported_languages if language.startswith("en")]
    found = holidays.country_holidays(
        country,
        subdiv=subdivision or None,
        years=year,
        categories=(category,),
        language="en_US" if "en_US" in english else english[0] if english else None,
    )
    # A holiday's observance may be found in a neighbouring year.
    return {day: name for day, name in found.items() if day.year == year}


def _estimated(name: str) -> str:
    return "The date is an estimate." if "estimated" in name.lower() else ""


def _half(day: date, name: str, hours: Sequence[Interval]) -> Proposal:
    opens, closes = min((start for start, _ in hours), default=0), max((end for _, end in hours), default=0)
    note = _estimated(name)
    if said := _FROM.search(name):
        hour, minute, half = int(said[1]) % 12, int(said[2] or 0), said[3].lower()
        until = (hour + 12 * (half == "pm")) * 60 + minute
    elif said := _SHORTENED.search(name):
        until = max(opens, closes - int(said[1]) * 60)
    else:
        until = NOON
        note = f"{note} It is not known from when it is closed; {wall(NOON)} is assumed.".strip()
    left = tuple((start, min(end, until)) for start, end in hours if start < until)
    return Proposal(day, name, left, half=True, note=note)
