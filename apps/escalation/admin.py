"""Risk flags as people read them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.facts import evidence, label
from apps.core.home import address
from apps.core.numbers import whole
from apps.core.templatetags.desk import ago, badge
from apps.escalation.models import RiskFlag

# Where a flag's source has a page: kind of source to the name of the page.
SOURCE_PAGES = {"action_card": "admin:actions_actioncard_change"}


def source_url(source: str) -> str:
    """The page of what a flag was raised from, such as ``action_card:17``; empty where there is none."""
    kind, _, key = source.partition(":")
    name = SOURCE_PAGES.get(kind, "")
    return address(name, int(key)) if name and key.isdigit() else ""


def source_words(source: str) -> str:
    """``action_card:17`` as ``Action card 17``."""
    kind, _, key = source.partition(":")
    return f"{label(kind)} {key}".strip()


def level_tone(level: int) -> str:
    """The tone of a level's badge."""
    return "bad" if level >= RiskFlag.Level.HIGH else "warn" if level == RiskFlag.Level.MEDIUM else "low"


@admin.register(RiskFlag)
class RiskFlagAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Risk flags: the gravest first, each with its evidence and the way back to its card."""

    list_display = ["title_link", "level_badge", "status_badge", "source_link", "raised_by", "age"]
    list_display_links = None
    list_filter = ["status", "level", "raised_at"]
    list_select_related = ["raised_by"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["title", "source__startswith"]
    search_help_text = "Title, or source such as action_card:17"
    sortable_by = ["level_badge", "age"]

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

    @admin.display(description="status")
    def status_badge(self, flag: RiskFlag) -> SafeString:
        return badge("info" if flag.status == RiskFlag.Status.OPEN else "ok", flag.get_status_display())

    @admin.display(description="raised from")
    def source_link(self, flag: RiskFlag) -> SafeString | str:
        url = source_url(flag.source)
        words = source_words(flag.source)
        return format_html('<a href="{}">{}</a>', url, words) if url else words

    @admin.display(description="raised", ordering="raised_at")
    def age(self, flag: RiskFlag) -> SafeString:
        return ago(flag.raised_at, timezone.now())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One flag with its evidence."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        flags = self.get_queryset(request).select_related("raised_by", "scope")
        key = whole(object_id)
        flag = None if key is None else flags.filter(pk=key).first()
        if flag is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "title": flag.title,
            "opts": self.opts,
            "flag": flag,
            "now": timezone.now(),
            "tone": level_tone(flag.level),
            "source_url": source_url(flag.source),
            "source": source_words(flag.source),
            "evidence": evidence(flag.evidence),
        }
        return TemplateResponse(request, "escalation/flag.html", context)
