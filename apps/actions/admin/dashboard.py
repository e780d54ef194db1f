"""The dashboard: how well the queue works, and the alerts that hold now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.actions import kpis
from apps.actions.alerts import Alert, holding
from apps.actions.rules import rules
from apps.actions.versions import current_version, parsed_settings
from apps.core.periods import SPANS, Days, asked, share, span
from apps.core.scope import may_work_in

if TYPE_CHECKING:
    from apps.actions.admin.queue import ActionCardAdmin

SMOOTHED = 7
"""Days of decisions in each point of a rate's line; single days have too few to tell."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the dashboard, with what it was in the range of the same length before."""

    title: str
    value: str
    hint: str
    before: str


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
