"""Mitigations: the tasks that lower risks, with what shows that they are done."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import found, person
from apps.core.names import called
from apps.core.paging import EstimatedPaginator
from apps.core.templatetags.desk import badge
from apps.register.admin import mitigation_steps
from apps.register.admin.shared import DASH, MITIGATION_TONES, Plain, due
from apps.register.controls import verify
from apps.register.models import Mitigation
from apps.register.rights import may_with_mitigation
from apps.register.trail import bundles, trail_of


class WhenFilter(admin.SimpleListFilter):
    """What is late, and whose it is."""

    title = "due"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("late", "Overdue"), ("mine", "Mine, not finished"), ("open", "Not finished")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Mitigation]) -> QuerySet[Mitigation]:
        unfinished = queryset.exclude(status__in=[Mitigation.Status.DONE, Mitigation.Status.DROPPED])
        if self.value() == "late":
            return unfinished.filter(due_on__lt=timezone.now().date())
        if self.value() == "mine":
            return unfinished.filter(owner_id=request.user.pk)
        return unfinished if self.value() == "open" else queryset


@admin.register(Mitigation)
class MitigationAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Mitigations of risks and of assessments; they are changed on a page bound to what was seen."""

    list_display = ["link", "of", "state", "done", "owned_by", "until", "horizon"]
    list_display_links = None
    list_filter = [WhenFilter, "status", "horizon"]
    list_select_related = ["risk", "assessment", "owner"]
    search_fields = ["title"]
    ordering = ("-id",)
    sortable_by: ClassVar[list[str]] = []
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatedPaginator

    @admin.display(description="mitigation")
    def link(self, row: Mitigation) -> SafeString:
        url = reverse("admin:register_mitigation_change", args=[row.pk])
        return format_html('<a class="risk-title" href="{}"><strong>{}</strong></a>', url, row.title)

    @admin.display(description="of")
    def of(self, row: Mitigation) -> SafeString:
        if row.risk:
            url = reverse("admin:register_risk_change", args=[row.risk_id])
            return format_html('<a class="risk-title" href="{}">{}</a>', url, row.risk)
        return format_html('<span class="risk-title">{}</span>', row.assessment)

    @admin.display(description="status")
    def state(self, row: Mitigation) -> SafeString:
        return badge(MITIGATION_TONES[Mitigation.Status(row.status)], row.get_status_display())

    @admin.display(description="progress")
    def done(self, row: Mitigation) -> SafeString:
        return format_html('<span class="num">{} %</span>', row.progress)

    @admin.display(description="owner")
    def owned_by(self, row: Mitigation) -> SafeString | str:
        return called(row.owner) or row.owner_role or DASH

    @admin.display(description="due")
    def until(self, row: Mitigation) -> SafeString | str:
        finished = row.status in (Mitigation.Status.DONE, Mitigation.Status.DROPPED)
        return str(row.due_on) if finished and row.due_on else due(row.due_on, timezone.now().date())

    def get_urls(self) -> list[URLPattern]:
        return [*mitigation_steps.pages(self), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One mitigation with its controls."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row: Mitigation = found(self, request, object_id, "risk", "assessment", "owner")
        now = timezone.now()
        (line,) = verify([row], now=now).lines
        context = {
            **self.admin_site.each_context(request),
            "title": row.title,
            "opts": self.opts,
            "row": row,
            "now": now,
            "tone": MITIGATION_TONES[Mitigation.Status(row.status)],
            "until": self.until(row),
            "controls": line.controls,
            "by": line.by,
            "bundles": bundles(trail_of(row)),
            "may_edit": may_with_mitigation(person(request), row, "register.change_mitigation"),
            "media": self.media,
        }
        return TemplateResponse(request, "register/mitigation.html", context)
