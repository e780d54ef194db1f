"""The dashboard: how well the queue works, and the alerts that hold now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.actions import kpis
from apps.actions.alerts import Alert, holding
from apps.actions.rules import rules
from apps.actions.versions import current_version, parsed_settings
from apps.core.scope import may_work_in

if TYPE_CHECKING:
    from apps.actions.admin.queue import ActionCardAdmin

SPANS = (7, 30, 90)
MOST_DAYS = 366
FIRST, LAST = date(2000, 1, 1), date(2999, 12, 31)
"""Beyond them the days before, or the day after, may not be in the calendar."""
SMOOTHED = 7
"""Days of decisions in each point of a rate's line; single days have too few to tell."""


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
class Figure:
    """One number of the dashboard, with what it was in the range of the same length before."""

    title: str
    value: str
    hint: str
    before: str


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


def amounts(protected: dict[str, Decimal]) -> str:
    """Money by currency, the largest first; amounts of different currencies are never added."""
    ranked = sorted(protected.items(), key=lambda pair: -pair[1])
    return " + ".join(f"{amount:,.0f} {currency}" for currency, amount in ranked) or "0"


def figures(now: kpis.Summary, before: kpis.Summary) -> list[Figure]:
    """The specification's five figures."""

    def figure(title: str, read: Callable[[kpis.Summary], str], hint: str) -> Figure:
        return Figure(title, read(now), hint, read(before))

    return [
        figure("Alerts per day", lambda s: f"{s.per_day:,.1f}", f"{now.alerts:,} cards opened"),
        figure(
            "False-positive rate",
            lambda s: share(s.false_positive_rate),
            f"{now.false:,} of {now.decided:,} decided cards were wrong",
        ),
        figure(
            "Alert to resolution",
            lambda s: span(s.median_time),
            f"median; 9 of 10 within {span(now.p90_time)}" if now.decided else "nothing was decided",
        ),
        figure(
            "Escalation rate",
            lambda s: share(s.escalation_rate),
            f"{now.escalated:,} of {now.decided:,} decided cards",
        ),
        figure("Revenue protected", lambda s: amounts(s.revenue_protected), "impact of what was done or handled"),
    ]


def trailing(days: Sequence[kpis.Day], count: int, part: Callable[[kpis.Day], int]) -> list[tuple[str, float]]:
    """For each of the last ``count`` days the share, in percent, of the decisions of the week that ends with it."""
    points = []
    for n in range(len(days) - count, len(days)):
        week = days[max(0, n - SMOOTHED + 1) : n + 1]
        decided = sum(day.decided for day in week)
        points.append((f"{days[n].day:%-d %b}", 100 * sum(map(part, week)) / decided if decided else 0.0))
    return points


def alerts_for(user: Any, now: datetime) -> list[Alert]:
    """The alerts that hold now and concern this person's scopes."""
    return [alert for alert in holding(now) if alert.card is None or may_work_in(user, alert.card.scope)]


def false_limit() -> float | None:
    """The share of wrong cards, in percent, above which the rule about false positives opens a card."""
    rule = next((rule for rule in rules if rule.slug == "false-positives"), None)
    if rule is None:
        return None
    rate: float | None = getattr(parsed_settings(rule, current_version(rule)), "rate", None)
    return rate * 100 if rate is not None else None


def dashboard(admin: ActionCardAdmin, request: HttpRequest) -> HttpResponse:
    """The page; ``since`` and ``until`` choose the days."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    if not admin.has_view_permission(request):
        raise PermissionDenied
    user: Any = request.user
    now = timezone.now()
    days, form = asked(request, now.date())
    before, smooth = days.before(), timedelta(days=SMOOTHED - 1)
    lead = kpis.by_day(user=user, start=days.start - smooth, end=days.end)
    shown = lead[-days.count :]
    titles = {rule.slug: rule.title for rule in rules}
    context = {
        **admin.admin_site.each_context(request),
        "title": "Dashboard",
        "opts": admin.opts,
        "now": now,
        "form": form,
        "days": days,
        "spans": [(n, Days(now.date() - timedelta(days=n - 1), now.date())) for n in SPANS],
        "alerts": alerts_for(user, now),
        "figures": figures(
            kpis.for_user(user=user, start=days.start, end=days.end),
            kpis.for_user(user=user, start=before.start, end=before.end),
        ),
        "by_day": shown,
        "opened": [(f"{day.day:%-d %b}", day.opened) for day in shown],
        "decided": [(f"{day.day:%-d %b}", day.decided) for day in shown],
        "false_rate": trailing(lead, days.count, lambda day: day.false),
        "escalation_rate": trailing(lead, days.count, lambda day: day.escalated),
        "false_limit": false_limit(),
        "anything": any(day.opened or day.decided for day in lead),
        "by_rule": [
            (titles.get(one.rule, one.rule), one, share(one.false_positive_rate))
            for one in kpis.by_rule(user=user, start=days.start, end=days.end)
        ],
    }
    return TemplateResponse(request, "actions/dashboard.html", context, status=200 if not form.errors else 400)
