"""The indicators: what each looks for, how it does, and its thresholds, which are edited by making a new version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.core.asking import person
from apps.core.thresholds import ThresholdForm
from apps.core.versions_admin import SettingsVersionAdmin
from apps.escalation import proposals, thresholds
from apps.escalation.models import IndicatorVersion, Proposal
from apps.escalation.signs import Sign, indicators

PERIOD = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one indicator does: its version, and what people decided about its proposals in the last 90 days."""

    sign: Sign
    version: IndicatorVersion
    facts: dict[str, Any]

    @property
    def state(self) -> tuple[str, str]:
        """Tone and word."""
        return ("ok", "Looks") if self.version.enabled else ("muted", "Off")


@admin.register(IndicatorVersion)
class IndicatorVersionAdmin(SettingsVersionAdmin):
    """Indicators and the versions of their thresholds."""

    rules = indicators
    page_name = "escalation_indicator"
    page_template = "escalation/indicator.html"
    runs = "The indicator looks"

    def make(self, request: HttpRequest, rule: Sign, form: ThresholdForm) -> IndicatorVersion:
        """Make the next version."""
        return thresholds.new_version(
            slug=rule.slug,
            settings=form.values(),
            enabled=form.cleaned_data["enabled"],
            reason=form.cleaned_data["reason"],
            actor=person(request),
        )

    def more(self, request: HttpRequest, rule: Sign) -> dict[str, Any]:
        """Its latest proposals that this person may see, each with the version that found it."""
        seen = Proposal.objects.visible_to(person(request)).filter(indicator=rule.slug)
        return {
            "proposals": seen.select_related("thresholds").order_by("-updated_at")[:10],
            "may_see_proposals": request.user.has_perm("escalation.view_proposal"),
        }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """All indicators, with how they do."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = timezone.now()
        newest = thresholds.newest_versions()
        facts = {
            row["indicator"]: row for row in proposals.precision(since=now - PERIOD, until=now, actor=person(request))
        }
        context = {
            **self.admin_site.each_context(request),
            "title": "Indicators",
            "opts": self.opts,
            "days": PERIOD.days,
            "standings": [
                Standing(one, newest.get(one.slug) or thresholds.current_version(one), facts[one.slug])
                for one in indicators
            ],
        }
        return TemplateResponse(request, "escalation/indicators.html", context)
