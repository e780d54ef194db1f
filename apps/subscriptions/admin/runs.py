"""Recalculations of all subscriptions: how they went, and how far the present one is."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin
from apps.core.people import user_of
from apps.core.templatetags.desk import badge
from apps.subscriptions import services, tasks
from apps.subscriptions.admin.shared import when
from apps.subscriptions.models import RecalculationRun

TONES = {
    RecalculationRun.Status.WAITING: "info",
    RecalculationRun.Status.RUNNING: "info",
    RecalculationRun.Status.FINISHED: "ok",
    RecalculationRun.Status.FAILED: "bad",
}


@admin.register(RecalculationRun)
class RecalculationRunAdmin(ReadOnlyAdmin):
    """Every run, newest first; they tell numbers only, so whoever may see subscriptions may see them."""

    list_display = [
        "as_of",
        "state",
        "progress",
        "succeeded",
        "failed",
        "degraded",
        "changed",
        "took",
        "speed",
        "asked",
    ]
    list_filter = ["status", "trigger"]
    list_select_related = ["requested_by"]
    list_per_page = 50
    sortable_by: ClassVar[list[str]] = []
    change_list_template = "subscriptions/runs.html"
    readonly_fields = ["state", "progress", "took", "speed"]
    fields = [
        "as_of", "state", "progress", "trigger", "requested_by", "started_at", "finished_at", "heartbeat_at", "total",
        "succeeded", "failed", "degraded", "changed", "took", "speed", "batch_size", "cursor", "error",
    ]  # fmt: skip

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["subscriptions/subscriptions.css"]}

    @admin.display(description="status")
    def state(self, run: RecalculationRun) -> SafeString:
        return badge(TONES[RecalculationRun.Status(run.status)], run.get_status_display())

    @admin.display(description="progress")
    def progress(self, run: RecalculationRun) -> SafeString:
        done = run.succeeded + run.failed
        if not run.total:
            return format_html('<span class="muted">{}</span>', "nothing to do" if run.finished_at else "not started")
        # Subscriptions may come and go while it runs, so the count may end beside the total it began with.
        percent = 100 if run.status == RecalculationRun.Status.FINISHED else min(99, done * 100 // run.total)
        return format_html(
            '<span class="progress"><meter class="meter" min="0" max="100" value="{}" aria-label="Progress"></meter><span class="num">{} %</span> <span class="muted">{} of {}</span></span>',
            percent, percent, f"{done:,}", f"{run.total:,}",
        )  # fmt: skip

    @admin.display(description="took")
    def took(self, run: RecalculationRun) -> str:
        minutes, seconds = divmod(run.seconds, 60)
        return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"

    @admin.display(description="speed")
    def speed(self, run: RecalculationRun) -> str:
        return f"{(run.succeeded + run.failed) / run.seconds:,.0f}/s" if run.seconds else "–"

    @admin.display(description="asked for")
    def asked(self, run: RecalculationRun) -> SafeString:
        who = run.requested_by or run.get_trigger_display()
        return format_html("{} {}", who, when(run.started_at or run.as_of))

    def has_start_permission(self, request: HttpRequest) -> bool:
        """A run judges all organisations, so it is asked for by those who administer them all."""
        return request.user.has_perm("subscriptions.add_recalculationrun")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        present = services.unfinished()
        extra = {
            "may_start": self.has_start_permission(request),
            "present": present,
            "present_progress": self.progress(present) if present else "",
            "now": timezone.now(),
        }
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        page = path("start/", self.admin_site.admin_view(self.start_view), name="subscriptions_recalculate_all")
        return [page, *super().get_urls()]

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a recalculation of all; the worker does it, and one that is under way goes on."""
        if not self.has_start_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        before = services.unfinished()
        run = services.request_run(
            trigger=RecalculationRun.Trigger.ADMIN,
            requested_by=user_of(request),
            now=timezone.now(),
        )
        tasks.wake()
        if before is not None and before.pk == run.pk:
            messages.info(request, "A recalculation is under way already; it goes on.")
        else:
            messages.success(request, "All active subscriptions are being recalculated. The progress stands below.")
        return HttpResponseRedirect(reverse("admin:subscriptions_recalculationrun_changelist"))
