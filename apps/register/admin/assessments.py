"""Assessments: the documents that risks come in, their versions, reviews and what changed since the last one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import found, person
from apps.core.home import address
from apps.core.models import User
from apps.core.templatetags.desk import badge
from apps.register.admin import assessment_steps, exports
from apps.register.admin.imports import upload_url
from apps.register.admin.shared import MITIGATION_TONES, Plain, due, score_badge
from apps.register.models import Mitigation, Provision, Rating, RegisterReview, Risk, RiskAssessment
from apps.register.rights import may_with_assessment
from apps.register.trail import bundles, trail_of

TONES = {"draft": "muted", "in_progress": "info", "approved": "ok", "closed": "muted"}
VERSION_TONES = {"draft": "warn", "approved": "ok", "superseded": "muted"}


@admin.register(RiskAssessment)
class RiskAssessmentAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Assessments, each with its own page."""

    list_display = ["link", "project", "state", "phase", "number_of_risks", "next_review"]
    list_display_links = None
    list_filter = ["status", "phase"]
    search_fields = ["title", "project"]
    sortable_by: ClassVar[list[str]] = []
    change_list_template = "register/assessments.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(number=Count("risks", filter=~Q(risks__status="closed")))

    @admin.display(description="assessment")
    def link(self, row: RiskAssessment) -> SafeString:
        url = reverse("admin:register_riskassessment_change", args=[row.pk])
        return format_html('<a class="risk-title" href="{}"><strong>{}</strong></a>', url, row.title)

    @admin.display(description="status")
    def state(self, row: RiskAssessment) -> SafeString:
        return badge(TONES[row.status], row.get_status_display())

    @admin.display(description="open risks")
    def number_of_risks(self, row: RiskAssessment) -> SafeString:
        return format_html('<span class="num">{}</span>', row.number)  # type: ignore[attr-defined]  # annotated

    @admin.display(description="next review")
    def next_review(self, row: RiskAssessment) -> SafeString | str:
        return due(row.next_review_on, timezone.now().date())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "import_url": upload_url(request)})

    def get_urls(self) -> list[URLPattern]:
        return [
            *assessment_steps.pages(self),
            *exports.pages(self),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One assessment: its risks, strategy, provisions, versions and reviews."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row: RiskAssessment = found(self, request, object_id, "matrix__matrix", "owner", "scope")
        now, user = timezone.now(), person(request)
        context = {
            **self.admin_site.each_context(request),
            "title": row.title,
            "opts": self.opts,
            "row": row,
            "now": now,
            "tone": TONES[row.status],
            "next_review": due(row.next_review_on, now.date()),
            "risks": risk_lines(row, user),
            "actions": action_groups(row),
            "provisions": provision_groups(row),
            "gates": list(row.gates.all()),
            "versions": [(one, VERSION_TONES[one.state]) for one in row.versions.defer("content").select_related("author", "approved_by")],
            "reviews": list(row.reviews.select_related("led_by", "gate").order_by("-due_on", "-pk")[:8]),
            "due_review": row.reviews.exclude(status=RegisterReview.Status.COMPLETED).order_by("due_on").first(),
            "bundles": bundles(trail_of(row)),
            "offers": offers(row, user),
            "exports": exports.links(row),
            "media": self.media,
        }  # fmt: skip
        return TemplateResponse(request, "register/assessment.html", context)


HEADINGS = {
    Provision.Kind.DETECTION: "Detection mechanisms",
    Provision.Kind.PROCEDURE: "Procedures",
    Provision.Kind.OWNERSHIP: "Areas of owners",
}
VIEWS = ("register.view_riskassessment",)
# Pages about an assessment: name, permission, words, icon, tone.
OFFERS = (
    ("changes", "register.view_riskassessment", "What changed", "history", ""),
    ("report", "register.view_riskassessment", "Report", "book", ""),
    ("edit", "register.change_riskassessment", "Edit", "edit", ""),
    ("submit", "register.add_assessmentversion", "Submit a version", "send", "primary"),
)


def offers(row: RiskAssessment, user: User) -> list[dict[str, str]]:
    """What this person may do with an assessment."""
    return [
        {"url": address(f"admin:register_riskassessment_{name}", row.pk), "words": words, "icon": icon, "tone": tone}
        for name, permission, words, icon, tone in OFFERS
        if (permission in VIEWS and user.has_perm(permission)) or may_with_assessment(user, row, permission)
    ]


def risk_lines(row: RiskAssessment, user: User) -> list[dict[str, Any]]:
    """The assessment's risks in its own order, each with its scores."""
    risks = list(
        Risk.objects.visible_to(user)
        .filter(assessment=row)
        .select_related("category", "owner")
        .order_by("position", "pk")
    )
    scores: dict[int, dict[str, Rating]] = {}
    for rating in Rating.objects.latest().filter(risk__in=risks):
        scores.setdefault(rating.risk_id, {})[rating.kind] = rating
    return [
        {"risk": risk, "url": reverse("admin:register_risk_change", args=[risk.pk]),
         "scores": [score_badge(scores.get(risk.pk, {}).get(kind)) for kind in Rating.Kind]}
        for risk in risks
    ]  # fmt: skip


def action_groups(row: RiskAssessment) -> list[tuple[str, list[tuple[Mitigation, str]]]]:
    """The actions of the assessment's strategy, under their horizon and priority."""
    rows = row.mitigations.filter(risk=None).select_related("owner").order_by("horizon", "priority", "position", "pk")

    def heading(one: Mitigation) -> str:
        words = one.priority.replace("_", " ")
        return f"{one.get_horizon_display()}: {words}" if words else one.get_horizon_display()

    return [
        (name, [(one, MITIGATION_TONES[Mitigation.Status(one.status)]) for one in group])
        for name, group in groupby(rows, heading)
    ]


def provision_groups(row: RiskAssessment) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """What the assessment provides beside its risks, by kind and group."""
    rows: Iterable[Provision] = row.provisions.order_by("kind", "pk")
    found: dict[str, dict[str, list[str]]] = {}
    for one in rows:
        groups = found.setdefault(HEADINGS[Provision.Kind(one.kind)], {})
        groups.setdefault(one.group.replace("_", " "), []).append(one.text)
    return [(kind, list(groups.items())) for kind, groups in found.items()]
