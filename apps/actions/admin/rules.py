"""The rules: what each looks for, how it does, and its thresholds, which are edited by making a new version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from apps.actions import services
from apps.actions.models import ActionCard, RuleRun, RuleVersion
from apps.actions.rules import Rule, RuleSettings, rules
from apps.core.admin import ReadOnlyAdmin
from apps.core.people import user_of
from apps.core.thresholds import ThresholdForm
from apps.core.versions_admin import SettingsVersionAdmin

# A sweep comes every 15 minutes; two missed ones mean that nobody is watching.
SILENCE = timedelta(minutes=35)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one rule does."""

    rule: Rule
    version: RuleVersion
    last_good: datetime | None
    last: RuleRun | None
    open_cards: int
    runs_today: int

    @property
    def state(self) -> tuple[str, str]:
        """Tone and word of the heartbeat; a rule that is judged once a day is as alive as the others' sweep."""
        if not self.version.enabled:
            return "muted", "Off"
        if self.last is not None and self.last.status == RuleRun.Status.FAILED:
            return "bad", "Failing"
        if self.last_good is None:
            return "warn", "Never ran"
        return "ok", "Runs"


def standings(request: HttpRequest, now: datetime) -> list[Standing]:
    """All rules, in four queries and one more for each rule without a version yet."""
    newest = {v.rule: v for v in RuleVersion.objects.order_by("rule", "-number").distinct("rule")}
    last: dict[str, Any] = {
        r.rule: r
        for r in RuleRun.objects.filter(started_at__gte=now - timedelta(days=7))
        .order_by("rule", "-started_at")
        .distinct("rule")
    }
    runs: dict[str, Any] = {
        row["rule"]: dict(row)
        for row in RuleRun.objects.filter(started_at__gte=now - timedelta(days=7))
        .order_by()
        .values("rule")
        .annotate(
            good=Max("finished_at", filter=Q(status=RuleRun.Status.SUCCEEDED)),
            today=Count("pk", filter=Q(started_at__gte=now - timedelta(days=1))),
        )
    }
    cards = (
        ActionCard.objects.visible_to(user_of(request)).queue().order_by().values_list("rule").annotate(n=Count("pk"))
    )
    waiting: dict[str, int] = dict(cards)
    return [
        Standing(
            rule=rule,
            version=newest.get(rule.slug) or services.current_version(rule),
            last_good=runs.get(rule.slug, {}).get("good"),
            last=last.get(rule.slug),
            open_cards=waiting.get(rule.slug, 0),
            runs_today=runs.get(rule.slug, {}).get("today", 0),
        )
        for rule in rules
    ]


@admin.register(RuleVersion)
class RuleVersionAdmin(SettingsVersionAdmin):
    """Rules and their versions."""

    rules = rules
    page_name = "actions_rule"
    page_template = "actions/rule.html"
    last = RuleSettings.model_fields.keys()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """All rules, with how they do."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = timezone.now()
        context = {
            **self.admin_site.each_context(request),
            "title": "Rules",
            "opts": self.opts,
            "now": now,
            "standings": standings(request, now),
        }
        return TemplateResponse(request, "actions/rules.html", context)

    def make(self, request: HttpRequest, rule: Rule, form: ThresholdForm) -> RuleVersion:
        """Make the next version."""
        return services.new_version(
            rule=rule,
            settings=form.values(),
            enabled=form.cleaned_data["enabled"],
            reason=form.cleaned_data["reason"],
            actor=user_of(request),
        )

    def more(self, request: HttpRequest, rule: Rule) -> dict[str, Any]:
        """Its latest runs, and what its cards say."""
        return {
            "runs": RuleRun.objects.filter(rule=rule.slug).select_related("version")[:10],
            "words": [("Mitigation", rule.mitigation), ("Escalation", rule.escalation), ("Roll back", rule.rollback)],
        }


@admin.register(RuleRun)
class RuleRunAdmin(ReadOnlyAdmin):
    """Every run of every rule, to read."""

    list_display = [
        "rule",
        "state",
        "trigger",
        "as_of",
        "started_at",
        "seconds",
        "hits",
        "opened",
        "updated",
        "resolved",
    ]
    list_filter = ["status", "trigger", "rule", "started_at"]
    list_select_related = ["version"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["rule__startswith"]
    search_help_text = "Name of a rule, such as order-ageing"
    sortable_by = ["started_at"]
    fields = [
        "rule", "version", "trigger", "status", "as_of", "started_at", "finished_at",
        "hits", "opened", "updated", "resolved", "error",
    ]  # fmt: skip

    @admin.display(description="status", ordering="status")
    def state(self, run: RuleRun) -> Any:
        from apps.core.templatetags.desk import badge

        tones = {RuleRun.Status.SUCCEEDED: "ok", RuleRun.Status.FAILED: "bad"}
        return badge(tones.get(RuleRun.Status(run.status), "info"), run.get_status_display())

    @admin.display(description="seconds")
    def seconds(self, run: RuleRun) -> str:
        return f"{(run.finished_at - run.started_at).total_seconds():,.1f}" if run.finished_at else ""
