"""Public holidays as proposals: known dates, subdivisions, half days, refusals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from apps.core.business_time import BusinessTimeError, Calendar
from apps.core.business_time.public_holidays import as_days, countries, propose

WEEK = {weekday: [(540, 720), (780, 1020)] for weekday in range(7)}


def test_holidays_of_a_subdivision_are_more_than_those_of_the_country() -> None:
    germany = {each.day: each.reason for each in propose("DE", 2026)}
    bavaria = {each.day: each.reason for each in propose("DE", 2026, "BY")}
    assert germany[date(2026, 5, 1)] == "Labor Day"
    assert set(bavaria) - set(germany) == {date(2026, 1, 6), date(2026, 6, 4), date(2026, 11, 1)}
    assert list(germany) == sorted(germany)


def test_holidays_are_observed_on_the_weekday_after() -> None:
    names = {each.day: each.reason for each in propose("GB", 2027, "ENG")}
    assert names[date(2027, 12, 28)] == "Boxing Day (observed)"


@pytest.mark.parametrize(
    ("country", "day", "intervals", "assumed"),
    [
        ("TR", date(2026, 10, 28), ((540, 720),), False),  # "(from 1pm)", when the lunch break ends
        ("EE", date(2026, 12, 31), ((540, 720), (780, 840)), False),  # "shortened by 3 hours"
        ("GR", date(2026, 12, 24), ((540, 720),), True),  # no hour is said
    ],
)
def test_half_days_cut_the_ordinary_hours_short(country: str, day: date, intervals: object, assumed: bool) -> None:
    (found,) = (each for each in propose(country, 2026, weekly=WEEK) if each.day == day)
    assert (found.half, found.intervals) == (True, intervals)
    assert ("assumed" in found.note) is assumed


def test_estimated_dates_say_so() -> None:
    assert any(each.note == "The date is an estimate." for each in propose("AE", 2030))


def test_activated_proposals_are_the_days_of_a_calendar() -> None:
    days = as_days([*propose("EE", 2026, weekly=WEEK), *propose("EE", 2027, weekly=WEEK)])
    calendar = Calendar("Tallinn", "Europe/Tallinn", WEEK, days)
    start = datetime(2026, 12, 31, tzinfo=UTC) - timedelta(hours=2)
    # Three hours are cut off New Year's Eve, and New Year's Day is closed.
    assert calendar.working_between(start, start + timedelta(days=2)) == timedelta(hours=4)


@pytest.mark.parametrize(
    ("country", "year", "subdivision", "code"),
    [
        ("XX", 2026, "", "unknown_country"),
        ("", 2026, "", "unknown_country"),
        ("DE", 2026, "ZZ", "unknown_subdivision"),
        ("DE", 1800, "", "unknown_year"),
    ],
)
def test_unknown_places_and_years_are_refused(country: str, year: int, subdivision: str, code: str) -> None:
    with pytest.raises(BusinessTimeError) as refused:
        propose(country, year, subdivision)
    assert refused.value.code == code


def test_every_country_can_be_asked() -> None:
    assert len(countries()) > 200
    for country in countries():
        for each in propose(country, 2026, weekly=WEEK):
            Calendar(country, "UTC", WEEK, as_days([each]))
