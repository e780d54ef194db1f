"""The checks: what each looks at and found, its history, and its limits, which are edited by making a new version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.core import versions
from apps.core.asking import person
from apps.core.facts import evidence
from apps.core.thresholds import ThresholdForm
from apps.core.versions_admin import SettingsVersionAdmin
from apps.register import check_round
from apps.register.admin.shared import OUTCOMES
from apps.register.checking import Check, checks, spoken
from apps.register.models import CheckResult, CheckVersion, Control, Mitigation
from apps.register.runs import enabled_checks

STRIP = 60
"""So many results stand in the strip of a check's history."""
LISTED = 20
RUN = "register.add_checkresult"
WORST_FIRST = {"fail": 0, "error": 1, "": 2, "warn": 3, "pass": 4}


@dataclass(frozen=True, slots=True)
class Standing:
    """How one check does: its latest result, its limits' version, and how many mitigations rely on it."""

    one: Check
    version: CheckVersion
    result: CheckResult | None
    mitigations: int

    @property
    def shown(self) -> tuple[str, str]:
        """Tone and word."""
        if not self.version.enabled:
            return "muted", "Off"
        return OUTCOMES[CheckResult.Outcome(self.result.outcome)] if self.result else ("muted", "Never looked")

    @property
    def every(self) -> str:
        return spoken(self.one.every)


def standings() -> list[Standing]:
    """All checks, the failing ones first; in three queries, and one more for each check that never ran."""
    newest = {version.rule: version for version in CheckVersion.objects.order_by("rule", "-number").distinct("rule")}
    latest = {result.check_slug: result for result in CheckResult.objects.filter(latest=True)}
    relying = Control.objects.filter(active=True).exclude(check_slug="").order_by().values_list("check_slug")
    counts = dict(relying.annotate(number=Count("mitigations")))
    found = [
        Standing(
            one,
            newest.get(one.slug) or versions.current(CheckVersion, one),
            latest.get(one.slug),
            counts.get(one.slug, 0),
        )
        for one in checks
    ]
    return sorted(found, key=lambda each: (WORST_FIRST[each.result.outcome if each.result else ""], each.one.title))


@admin.register(CheckVersion)
class CheckVersionAdmin(SettingsVersionAdmin):
    """Checks, what they found, and the versions of their limits."""

    rules = checks
    page_name = "register_checkversion_page"
    page_template = "register/check.html"
    runs = "The check looks"

    def make(self, request: HttpRequest, rule: Check, form: ThresholdForm) -> CheckVersion:
        """Make the next version."""
        return versions.make(
            CheckVersion,
            rule,
            settings=form.values(),
            enabled=form.cleaned_data["enabled"],
            reason=form.cleaned_data["reason"],
            actor=person(request),
            trail=versions.Trail("register", "check_version_made", "check", "/admin/register/checkversion/{}/change/"),
        )

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view
        return [
            path("rule/<slug:slug>/run/", guarded(self.run_view), name="register_checkversion_run"),
            path("run/", guarded(self.run_all_view), name="register_checkversion_run_all"),
            *super().get_urls(),
        ]

    def run_all_view(self, request: HttpRequest) -> HttpResponse:
        """Ask workers to look by all checks now, once at a time."""
        from apps.register.tasks import run_one_check  # the tasks are loaded by the worker, not by the admin

        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_view_permission(request) and request.user.has_perm(RUN)):
            raise PermissionDenied
        if not check_round.begin(timezone.now()):
            messages.info(request, "All checks are looking already.")
            return HttpResponseRedirect(reverse("admin:register_checkversion_changelist"))
        try:
            for slug in enabled_checks():
                run_one_check.apply_async(args=[slug], retry=False)
        except OperationalError:
            check_round.give_up()
            messages.error(request, "The queue does not answer, so no worker can look. (queue_unavailable)")
        return HttpResponseRedirect(reverse("admin:register_checkversion_changelist"))

    def run_view(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Ask a worker to look by one check now."""
        from apps.register.tasks import run_one_check  # the tasks are loaded by the worker, not by the admin

        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_view_permission(request) and request.user.has_perm(RUN)):
            raise PermissionDenied
        if slug not in checks:
            raise Http404
        try:
            run_one_check.apply_async(args=[slug], retry=False)
        except OperationalError:
            messages.error(request, "The queue does not answer, so no worker can look. (queue_unavailable)")
        else:
            messages.success(request, "A worker looks now; load this page again in a moment.")
        return HttpResponseRedirect(reverse("admin:register_checkversion_page", args=[slug]))

    def more(self, request: HttpRequest, rule: Check) -> dict[str, Any]:
        """What it found, and who relies on it."""
        results = list(CheckResult.objects.filter(check_slug=rule.slug).order_by("-pk")[:STRIP])
        latest = results[0] if results else None
        relying = Mitigation.objects.visible_to(person(request)).filter(controls__check_slug=rule.slug)
        return {
            "result": latest,
            "shown": OUTCOMES[CheckResult.Outcome(latest.outcome)] if latest else ("muted", "Never looked"),
            "evidence": evidence(latest.evidence) if latest else [],
            "strip": results[::-1],
            "results": [(one, OUTCOMES[CheckResult.Outcome(one.outcome)]) for one in results[:LISTED]],
            "every": spoken(rule.every),
            "mitigations": relying.select_related("risk", "assessment").distinct(),
            "may_run": request.user.has_perm(RUN),
        }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """All checks, with what they found."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found, now = standings(), timezone.now()
        context = {
            **self.admin_site.each_context(request),
            "title": "Checks",
            "opts": self.opts,
            "now": now,
            "standings": found,
            "round": check_round.latest(now),
            "may_run": request.user.has_perm(RUN),
            "counts": [
                (*OUTCOMES[outcome], sum(one.result is not None and one.result.outcome == outcome for one in found))
                for outcome in OUTCOMES
            ],
        }
        return TemplateResponse(request, "register/checks.html", context)
