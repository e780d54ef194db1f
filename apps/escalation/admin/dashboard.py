"""The risk dashboard: levels and deadlines, how precise the indicators are, and what people said of escalations."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.core.models import User
from apps.core.numbers import plural
from apps.core.people import user_of
from apps.core.periods import SPANS, Days, asked, share, span
from apps.escalation import proposals, training, trends
from apps.escalation.admin.shared import level_tone

if TYPE_CHECKING:
    from apps.escalation.admin.flags import RiskFlagAdmin

WEEKLY_FROM = 60
"""Longer periods are drawn by weeks."""


def dashboard(modeladmin: RiskFlagAdmin, request: HttpRequest) -> HttpResponse:
    """The page; ``since`` and ``until`` choose the days."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    user = user_of(request)
    now = timezone.now()
    days, form = asked(request, now.date())
    levels = trends.by_level(user=user, start=days.start, end=days.end, now=now)
    said = trends.feedback(user=user, start=days.start, end=days.end)
    raised = trends.by_day(user=user, start=days.start, end=days.end)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": "Risk dashboard",
        "opts": modeladmin.opts,
        "form": form,
        "days": days,
        "spans": [(count, Days(now.date() - timedelta(days=count - 1), now.date())) for count in SPANS],
        "figures": _figures(user, days, levels, said),
        "levels": [(one, level_tone(one.level), span(one.closing)) for one in levels],
        "missed": trends.missed_by_step(user=user, start=days.start, end=days.end),
        "points": _points(raised),
        "weekly": len(raised) > WEEKLY_FROM,
        "indicators": _indicators(user, days, said),
        "sees_proposals": user.has_perm("escalation.view_proposal"),
        "said": said,
        "opinions": [("Category of the ticket", said.by_category), ("Level", said.by_level)],
        "anything": any(one.raised or one.open or one.ended for one in levels) or said.flags,
        "late_trainings": _late_trainings(user, now),
        "share": share,
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "escalation/dashboard.html", context, status=400 if form.errors else 200)


def _figures(
    user: User, days: Days, levels: tuple[trends.OfLevel, ...], said: trends.Said
) -> list[tuple[str, str, str]]:
    """The numbers above all, each with its title and what it means."""
    raised, before = sum(one.raised for one in levels), sum(one.before for one in levels)
    opened, late = sum(one.open for one in levels), sum(one.late for one in levels)
    answered = trends.acknowledging(user=user, start=days.start, end=days.end)
    return [
        ("Flags raised", f"{raised:,}", f"{before:,} in the {days.count} days before"),
        ("Open now", f"{opened:,}", f"{late:,} overdue" if late else "none overdue"),
        ("Deadlines passed", f"{sum(one.missed for one in levels):,}", "flags of which a step took too long"),
        ("Until somebody has it in hand", span(answered), "median, level 3 and above"),
        ("Useful escalations", share(said.all.share), f"of {plural(said.all.useful + said.all.useless, 'answer')}"),
    ]


def _points(raised: list[tuple[Any, int]]) -> list[tuple[str, int]]:
    """The plot's bars: days, or weeks where there are many days."""
    step = 7 if len(raised) > WEEKLY_FROM else 1
    chunks = [raised[place : place + step] for place in range(0, len(raised), step)]
    return [(f"{chunk[0][0]:%-d %b}", sum(count for _, count in chunk)) for chunk in chunks]


def _indicators(user: User, days: Days, said: trends.Said) -> list[dict[str, Any]]:
    """For each indicator: flags, what became of its proposals, and what people said of its flags."""
    flags = {label: now for label, now, _ in trends.by_indicator(user=user, start=days.start, end=days.end)}
    opinions = {one.label: one for one in said.by_indicator}
    found = proposals.precision(since=days.start, until=days.end, actor=user)
    rows = [
        {
            "label": row["label"], "flags": flags.get(row["label"], 0), "open": row["open"],
            "confirmed": row["confirmed"], "rejected": row["rejected"], "precision": share(row["precision"]),
            "opinion": opinions.get(row["label"]),
        }
        for row in found
    ]  # fmt: skip
    if trends.NO_INDICATOR in flags or trends.NO_INDICATOR in opinions:
        nothing = dict.fromkeys(("open", "confirmed", "rejected"), "")
        label = trends.NO_INDICATOR
        rows.append(
            {"label": label, "flags": flags.get(label, 0), "precision": "", "opinion": opinions.get(label), **nothing}
        )
    return rows


def _late_trainings(user: User, now: datetime) -> int | None:
    """How many trainings are overdue; None for those who see only their own."""
    if not user.has_perm(training.RECORD):
        return None
    today = now.date()
    return sum(one.overdue(today) for one in training.standing(today=today))
