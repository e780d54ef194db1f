"""The days that a dashboard shows: asked for in the address, compared with as many days before; and figures in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest

SPANS = (7, 30, 90)
MOST_DAYS = 366
FIRST, LAST = date(2000, 1, 1), date(2999, 12, 31)
"""Beyond them the days before, or the day after, may not be in the calendar."""


class RangeForm(forms.Form):
    """Which days, both included (UTC)."""

    since = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", widget=forms.DateInput(attrs={"type": "date"}))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and not FIRST <= since <= until <= LAST and since <= until:
            raise forms.ValidationError("The days lie between 2000 and 2999.")
        if since and until and since > until:
            raise forms.ValidationError("The first day must not be after the last.")
        if since and until and (until - since).days >= MOST_DAYS:
            raise forms.ValidationError(f"At most {MOST_DAYS} days are shown at once.")
        return cleaned


@dataclass(frozen=True, slots=True)
class Days:
    """The days shown, both included."""

    since: date
    until: date

    @property
    def start(self) -> datetime:
        return datetime.combine(self.since, time.min, UTC)

    @property
    def end(self) -> datetime:
        return datetime.combine(self.until + timedelta(days=1), time.min, UTC)

    @property
    def count(self) -> int:
        return (self.until - self.since).days + 1

    def before(self) -> Days:
        """As many days right before these."""
        return Days(self.since - timedelta(days=self.count), self.since - timedelta(days=1))


def asked(request: HttpRequest, today: date) -> tuple[Days, RangeForm]:
    """The days that are asked for; the last 30 if none are, or if what was asked cannot be."""
    usual = Days(today - timedelta(days=SPANS[1] - 1), today)
    if "since" not in request.GET and "until" not in request.GET:
        return usual, RangeForm(initial={"since": usual.since, "until": usual.until}, label_suffix="")
    form = RangeForm(request.GET, label_suffix="")
    return (Days(form.cleaned_data["since"], form.cleaned_data["until"]) if form.is_valid() else usual), form


def share(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} %"


def span(value: timedelta | None) -> str:
    """A length of time in its two largest units: ``3 d 4 h``, ``2 h 5 min``, ``40 s``."""
    if value is None:
        return "–"
    seconds = int(value.total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    at = next((n for n, (_, size) in enumerate(units) if seconds >= size), len(units) - 1)
    words = [f"{seconds // units[at][1]:,} {units[at][0]}"]
    if at + 1 < len(units) - 1 and (rest := seconds % units[at][1] // units[at + 1][1]):
        words.append(f"{rest} {units[at + 1][0]}")
    return " ".join(words)
