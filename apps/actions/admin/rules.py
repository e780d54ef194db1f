"""The rules: what each looks for, how it does, and its thresholds, which are edited by making a new version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps.actions import services
from apps.actions.admin.thresholds import ThresholdForm
from apps.actions.models import ActionCard, RuleRun, RuleVersion
from apps.actions.rules import Rule, rules
from apps.core.admin import ReadOnlyAdmin
from apps.core.errors import DomainError
from apps.core.facts import label
from apps.core.numbers import whole

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


@dataclass(frozen=True, slots=True)
class Edition:
    """A version with what it changed against the one before."""

    version: RuleVersion
    changes: tuple[tuple[str, Any, Any], ...]


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
    cards = ActionCard.objects.visible_to(request.user).queue().order_by().values_list("rule").annotate(n=Count("pk"))  # type: ignore[arg-type]
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


def editions(versions: Sequence[RuleVersion], schema: Any) -> list[Edition]:
    """Versions, newest first, each with its difference from the one before."""
    found = []
    for n, version in enumerate(versions):
        before = versions[n + 1] if n + 1 < len(versions) else None
        found.append(Edition(version, tuple(_changes(before, version, schema)) if before else ()))
    return found


def _changes(before: RuleVersion, after: RuleVersion, schema: Any) -> list[tuple[str, Any, Any]]:
    changes: list[tuple[str, Any, Any]] = []
    if before.enabled != after.enabled:
        changes.append(("The rule runs", "yes" if before.enabled else "no", "yes" if after.enabled else "no"))
    for name in {**after.settings, **before.settings}:
        old, new = before.settings.get(name, "not set"), after.settings.get(name, "not set")
        if old != new:
            field = schema.model_fields.get(name)
            changes.append(((field and field.title) or label(name), old, new))
    return changes


@admin.register(RuleVersion)
class RuleVersionAdmin(ReadOnlyAdmin):
    """Rules and their versions. A version is never edited; the form makes the next one."""

    def has_edit_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("actions.add_ruleversion")

    def get_urls(self) -> list[URLPattern]:
        page = path("rule/<slug:slug>/", self.admin_site.admin_view(self.rule_view), name="actions_rule")
        return [page, *super().get_urls()]

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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A version stands in the history of its rule."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = whole(object_id)
        version = None if key is None else RuleVersion.objects.filter(pk=key).first()
        if version is None or version.rule not in rules:
            raise Http404
        return HttpResponseRedirect(f"{reverse('admin:actions_rule', args=[version.rule])}#v{version.number}")

    def rule_view(self, request: HttpRequest, slug: str) -> HttpResponse:
        """One rule: its thresholds and their history. A POST makes the next version."""
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if not self.has_view_permission(request) or (
            request.method == "POST" and not self.has_edit_permission(request)
        ):
            raise PermissionDenied
        if slug not in rules:
            raise Http404
        rule = rules[slug]
        version = services.current_version(rule)
        if request.method == "POST":
            return self._save(request, rule, version)
        return self._page(request, rule, version, self._form(rule, version))

    def _form(self, rule: Rule, version: RuleVersion) -> ThresholdForm:
        defaults = rule.settings().model_dump(mode="json")
        return ThresholdForm(
            rule=rule, initial={**defaults, **version.settings, "enabled": version.enabled, "seen": version.number}
        )

    def _save(self, request: HttpRequest, rule: Rule, version: RuleVersion) -> HttpResponse:
        form = ThresholdForm(request.POST, rule=rule)
        if form.is_valid() and form.cleaned_data["seen"] != version.number:
            form.add_error(
                None,
                f"Version {version.number} was made meanwhile; look at it below and decide again. (version_changed)",
            )
            form.data = {**request.POST.dict(), "seen": str(version.number)}
        if not form.is_valid():
            return self._page(request, rule, version, form, status=400)
        settings, enabled = form.values(), form.cleaned_data["enabled"]
        if settings == {**rule.settings().model_dump(mode="json"), **version.settings} and enabled == version.enabled:
            messages.info(request, "Nothing was changed, so no version was made.")
            return HttpResponseRedirect(request.path)
        try:
            made = services.new_version(
                rule=rule,
                settings=settings,
                enabled=enabled,
                reason=form.cleaned_data["reason"],
                actor=request.user,  # type: ignore[arg-type]
            )
        except DomainError as refusal:
            form.add_error(None, f"{refusal.message} ({refusal.code})")
            return self._page(request, rule, version, form, status=refusal.status)
        messages.success(request, f"Version {made.number} of {rule.title} holds from the next run on.")
        return HttpResponseRedirect(request.path)

    def _page(
        self, request: HttpRequest, rule: Rule, version: RuleVersion, form: ThresholdForm, status: int = 200
    ) -> HttpResponse:
        now = timezone.now()
        versions = list(
            RuleVersion.objects.filter(rule=rule.slug).select_related("created_by").order_by("-number")[:100]
        )
        shown = {**rule.settings().model_dump(mode="json"), **version.settings}
        context = {
            **self.admin_site.each_context(request),
            "title": rule.title,
            "opts": self.opts,
            "now": now,
            "rule": rule,
            "version": version,
            "form": form,
            "may_edit": self.has_edit_permission(request),
            "thresholds": [
                (field.title or label(name), shown[name], field.description)
                for name, field in rule.settings.model_fields.items()
            ],
            "editions": editions(versions, rule.settings),
            "runs": RuleRun.objects.filter(rule=rule.slug).select_related("version")[:10],
            "words": [("Mitigation", rule.mitigation), ("Escalation", rule.escalation), ("Roll back", rule.rollback)],
        }
        return TemplateResponse(request, "actions/rule.html", context, status=status)


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
