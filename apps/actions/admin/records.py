"""What was done in the world outside, to read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.actions.admin.detail import action_title
from apps.actions.models import ActionCard, Execution
from apps.core.admin import ReadOnlyAdmin
from apps.core.people import user_of
from apps.core.templatetags.desk import badge

TONES = {Execution.Status.SUCCEEDED: "ok", Execution.Status.FAILED: "bad"}


@admin.register(Execution)
class ExecutionAdmin(ReadOnlyAdmin):
    """Executions of the cards that the person sees; a failed one is tried again on its card."""

    list_display = [
        "what",
        "direction",
        "state",
        "card_link",
        "attempts",
        "requested_by",
        "created_at",
        "finished_at",
    ]
    list_filter = ["status", "direction", "action", "failure_kind"]
    list_select_related = ["card", "requested_by"]
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ["created_at"]
    fields = [
        "card_link", "action", "direction", "status", "attempts", "next_attempt_at", "requested_by", "created_at",
        "finished_at", "payload", "result", "failure_kind", "last_error", "key",
    ]  # fmt: skip
    readonly_fields = ["card_link"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        cards = ActionCard.objects.visible_to(user_of(request))
        return super().get_queryset(request).filter(card__in=cards)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_view_permission(request, obj)
        if not allowed or obj is None:
            return allowed
        return bool(ActionCard.objects.visible_to(user_of(request)).filter(pk=obj.card_id).exists())

    @admin.display(description="action", ordering="action")
    def what(self, execution: Execution) -> str:
        return action_title(execution.action)

    @admin.display(description="status", ordering="status")
    def state(self, execution: Execution) -> SafeString:
        return badge(TONES.get(Execution.Status(execution.status), "info"), execution.get_status_display())

    @admin.display(description="card")
    def card_link(self, execution: Execution) -> SafeString:
        url = reverse("admin:actions_actioncard_change", args=[execution.card_id])
        return format_html('<a href="{}">{}</a>', url, execution.card)
