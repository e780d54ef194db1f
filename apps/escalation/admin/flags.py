"""Risk flags as people find them: the list, the board, and their pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import page
from apps.core.templatetags.desk import ago, badge
from apps.escalation.admin import board, dashboard, flag_steps, raising
from apps.escalation.admin.flag_page import flag_page
from apps.escalation.admin.shared import level_tone, source_url, source_words
from apps.escalation.models import RiskFlag

LADDER = "escalation.change_riskflag"


@admin.register(RiskFlag)
class RiskFlagAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Risk flags: the gravest first, each with its evidence and the way back to its card."""

    list_display = ["title_link", "level_badge", "step_badge", "source_link", "raised_by", "age"]
    list_display_links = None
    list_filter = ["status", "step", "level", "indicator", "raised_at"]
    list_select_related = ["raised_by"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["title", "source__startswith"]
    search_help_text = "Title, or source such as action_card:17"
    sortable_by = ["level_badge", "age"]

    class Media:
        css = {"all": ["escalation/escalation.css"]}

    @admin.display(description="title")
    def title_link(self, flag: RiskFlag) -> SafeString:
        return format_html(
            '<a href="{}"><strong>{}</strong></a>',
            reverse("admin:escalation_riskflag_change", args=[flag.pk]),
            flag.title,
        )

    @admin.display(description="level", ordering="level")
    def level_badge(self, flag: RiskFlag) -> SafeString:
        return badge(level_tone(flag.level), flag.get_level_display())

    @admin.display(description="step")
    def step_badge(self, flag: RiskFlag) -> SafeString:
        return badge("info" if flag.status == RiskFlag.Status.OPEN else "ok", flag.get_step_display())

    @admin.display(description="raised from")
    def source_link(self, flag: RiskFlag) -> SafeString | str:
        url = source_url(flag.source)
        words = source_words(flag.source)
        return format_html('<a href="{}">{}</a>', url, words) if url else words

    @admin.display(description="raised", ordering="raised_at")
    def age(self, flag: RiskFlag) -> SafeString:
        return ago(flag.raised_at, timezone.now())

    def has_ladder_permission(self, request: HttpRequest) -> bool:
        """Whether the person takes flags along the ladder at all; which ways, their role says."""
        return request.user.has_perm(LADDER)

    def get_urls(self) -> list[URLPattern]:
        pages = [
            page(self, "board/", "board", board.board),
            page(self, "dashboard/", "dashboard", dashboard.dashboard),
            page(self, "raise/", "raise", raising.raise_page),
            page(self, "<int:pk>/move/<slug:name>/", "move", flag_steps.move),
            page(self, "<int:pk>/tell/<slug:direction>/", "tell", flag_steps.tell),
        ]
        for name in ("level", "acknowledge", "note", "edit", "feedback"):
            pages.append(page(self, f"<int:pk>/{name}/", name, getattr(flag_steps, name)))
        return pages + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One flag; see :mod:`apps.escalation.admin.flag_page`."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return flag_page(self, request, object_id)
