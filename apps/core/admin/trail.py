"""Admin pages of the decision log and of the trail of edits, and where the pages of their subjects are."""

from __future__ import annotations

import json
import re
from typing import Any

from auditlog.admin import LogEntryAdmin
from auditlog.models import LogEntry
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from apps.core import exports
from apps.core.admin.base import ReadOnlyAdmin
from apps.core.filters import DecisionScopeFilter
from apps.core.home import address
from apps.core.models import Decision, DecisionText

# Where a subject's kind has a page.
SUBJECT_PAGES = {
    "action_card": "admin:actions_actioncard_change",
    "order": "admin:orders_order_change",
    "customer": "admin:orders_customer_change",
    "product": "admin:orders_product_change",
    "fulfillment": "admin:orders_fulfillment_change",
    "refund": "admin:orders_refund_change",
    "store": "admin:orders_store_change",
    "scope": "admin:core_scope_change",
    "risk_flag": "admin:escalation_riskflag_change",
    "ticket": "admin:escalation_ticket_change",
    "subscription": "admin:subscriptions_subscription_change",
    "risk": "admin:register_risk_change",
    "risk_assessment": "admin:register_riskassessment_change",
    "mitigation": "admin:register_mitigation_change",
    "control": "admin:register_control_change",
    "incident": "admin:register_incident_change",
    "register_review": "admin:register_registerreview_change",
    "matrix": "admin:register_matrix_change",
    "article": "admin:knowledge_article_change",
    "article_version": "admin:knowledge_articleversion_change",
    "gap": "admin:knowledge_gap_change",
}
_KEY = re.compile(r"[0-9]{1,18}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def page_of(subject: str) -> str:
    """The page of a subject such as ``action_card:17``; empty where there is none."""
    kind, _, key = subject.partition(":")
    return address(SUBJECT_PAGES[kind], key) if kind in SUBJECT_PAGES and _KEY.fullmatch(key) else ""


class DecisionTextInline(admin.StackedInline):
    model = DecisionText
    fields = ["rationale", "details", "erased_at"]
    can_delete = False
    verbose_name_plural = "Text (can be erased; the chain stays whole)"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("core.view_decision")


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """The decision log, to read, search and export."""

    list_display = ["seq", "at", "scope", "actor_name", "action", "subject_link", "why"]
    list_filter = [DecisionScopeFilter, "at"]
    list_select_related = ["actor", "text"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["subject__startswith", "action__startswith", "actor_label__exact", "actor__username__exact"]
    search_help_text = "Subject (action_card:17), action or actor"
    inlines = [DecisionTextInline]
    actions = ["export_json", "export_csv"]
    fields = [
        "seq", "at", "scope", "actor_name", "action", "subject_link", "evidence_link", "facts", "text_digest", "prev_hash", "hash",
    ]  # fmt: skip

    @admin.display(description="actor", ordering="actor_label")
    def actor_name(self, decision: Decision) -> str:
        return decision.actor_name

    @admin.display(description="subject", ordering="subject")
    def subject_link(self, decision: Decision) -> SafeString | str:
        url = page_of(decision.subject)
        return format_html('<a href="{}">{}</a>', url, decision.subject) if url else decision.subject

    @admin.display(description="why")
    def why(self, decision: Decision) -> SafeString:
        return format_html('<span class="clip" title="{0}">{0}</span>', decision.rationale)

    @admin.display(description="evidence")
    def evidence_link(self, decision: Decision) -> SafeString | str:
        url = decision.evidence_url
        # Only a path of this site: what was recorded may have come from elsewhere.
        return format_html('<a href="{0}">{0}</a>', url) if url_has_allowed_host_and_scheme(url, None) else url

    @admin.display(description="facts")
    def facts(self, decision: Decision) -> SafeString:
        return format_html('<pre class="code">{}</pre>', json.dumps(decision.payload, indent=2, ensure_ascii=False))

    @admin.action(description="Export as JSON lines", permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[Decision]) -> StreamingHttpResponse:
        return exports.as_json(queryset.select_related("actor", "text"))

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Decision]) -> StreamingHttpResponse:
        return exports.as_csv(queryset.select_related("actor", "text"))


admin.site.unregister(LogEntry)


@admin.register(LogEntry)
class TrailAdmin(ReadOnlyAdmin, LogEntryAdmin):
    """Who edited what, to read."""

    date_hierarchy = None
    show_full_result_count = False
    search_fields = ["object_repr", "actor__username"]
