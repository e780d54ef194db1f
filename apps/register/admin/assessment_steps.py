"""What people look up about an assessment besides its page: what changed since its last review."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.dateparse import parse_date

from apps.core.asking import found, page, person
from apps.register import changes
from apps.register.models import Risk, RiskAssessment

KINDS = {
    changes.NEW: ("New risk", "warn"),
    changes.SCORE: ("Score", "info"),
    changes.FIELD: ("Risk", "muted"),
    changes.MITIGATION: ("Mitigation", "muted"),
    changes.CONTROL: ("Control", "info"),
    changes.ACCEPTANCE: ("Acceptance", "muted"),
}


def pages(modeladmin: ModelAdmin) -> list[URLPattern]:
    """The pages of this module."""
    return [page(modeladmin, "<int:pk>/changes/", "changes", changed)]


def changed(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """What changed since the last review, or since a day that is asked for."""
    row: RiskAssessment = found(modeladmin, request, pk)
    now = timezone.now()
    last = changes.last_review(row)
    asked = _day(request.GET.get("since", ""))
    since = datetime.combine(asked, time(), tzinfo=timezone.get_current_timezone()) if asked else last or row.created_on
    seen = {risk.pk: risk for risk in Risk.objects.visible_to(person(request)).filter(assessment=row)}
    found_ = [one for one in changes.of_assessment(row, since=since, until=now) if one.risk is None or one.risk in seen]
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": f"What changed: {row}",
        "opts": modeladmin.opts,
        "row": row,
        "now": now,
        "since": since,
        "last": last,
        "groups": _by_risk(found_, seen),
        "counts": [(words, shade, sum(one.kind == kind for one in found_)) for kind, (words, shade) in KINDS.items()],
        "total": len(found_),
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "register/changes.html", context)


def _day(text: str) -> Any:
    try:
        return parse_date(text)
    except ValueError:  # 2026-02-31
        return None


def _by_risk(found_: list[changes.Change], risks: dict[int, Risk]) -> list[tuple[Risk | None, list[Any]]]:
    """Changes under their risk, in the assessment's order; what belongs to the assessment itself comes first."""
    groups: dict[int | None, list[Any]] = {}
    for one in sorted(found_, key=lambda change: change.at, reverse=True):
        words, shade = KINDS[one.kind]
        groups.setdefault(one.risk, []).append((one, words, shade))
    order = sorted(groups, key=lambda key: (key is not None, risks[key].position or 0 if key else 0, key or 0))
    return [(risks[key] if key else None, groups[key]) for key in order]
