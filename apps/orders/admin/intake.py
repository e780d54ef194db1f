"""How store data came in: webhooks with their dead letters, reconciliations, imports, and data requests."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.decisions import Entry, record_many
from apps.core.facts import facts
from apps.core.people import user_of
from apps.core.templatetags.desk import badge
from apps.core.templatetags.raw import pretty_json
from apps.orders.admin.shared import DataAdmin, StoreFilter, when
from apps.orders.intake.process import replay
from apps.orders.models import DataRequest, ImportRun, ReconciliationRun, WebhookDelivery
from apps.orders.tasks import wake

DELIVERY_TONES = {"pending": "info", "done": "ok", "dead": "bad"}
RUN_TONES = {"running": "info", "succeeded": "ok", "failed": "bad"}


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(DataAdmin):
    """Webhooks as they arrived. Those that were given up wait here for somebody who replays them."""

    list_display = ["topic", "store", "condition", "attempts", "received", "next_try", "error"]
    list_filter = [StoreFilter, "status", "topic"]
    list_select_related = ["store"]
    search_fields = ["webhook_id__exact"]
    search_help_text = "The webhook's id"
    actions = ["replay_deliveries"]
    readonly_fields = ["condition", "document"]
    fields = [
        "store", "topic", "condition", "attempts", "next_attempt_at", "received_at", "triggered_at", "processed_at",
        "last_error", "webhook_id", "event_id", "api_version", "document",
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        found = super().get_queryset(request)
        match = request.resolver_match
        # Documents are long, and a list does not show them.
        return found.defer("body") if match and str(match.url_name).endswith("_changelist") else found

    @admin.display(description="status", ordering="status")
    def condition(self, delivery: WebhookDelivery) -> SafeString:
        return badge(DELIVERY_TONES[delivery.status], delivery.get_status_display())

    @admin.display(description="received")
    def received(self, delivery: WebhookDelivery) -> SafeString:
        return when(delivery.received_at)

    @admin.display(description="next attempt")
    def next_try(self, delivery: WebhookDelivery) -> SafeString:
        return when(delivery.next_attempt_at)

    @admin.display(description="last error")
    def error(self, delivery: WebhookDelivery) -> str:
        return delivery.last_error[:120] or "–"

    @admin.display(description="document")
    def document(self, delivery: WebhookDelivery) -> SafeString:
        if not delivery.body:
            return format_html('<span class="muted">{}</span>', "Cleared: it is too old, or the person was forgotten.")
        return format_html("<details><summary>Show it</summary><pre>{}</pre></details>", pretty_json(delivery.body))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_webhookdelivery")

    @admin.action(description="Replay", permissions=["replay"])
    def replay_deliveries(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        chosen = list(queryset.values_list("pk", flat=True))
        with transaction.atomic():
            count = replay(chosen, now=timezone.now())
            record_many(
                Entry(
                    scope="intake", actor=user_of(request), action="webhook_replayed", subject=f"webhook_delivery:{key}"
                )
                for key in chosen
            )
            transaction.on_commit(wake)
        lost = len(chosen) - count
        words = f"{count} webhooks will be processed again."
        self.message_user(
            request, f"{words} The documents of {lost} are gone." if lost else words,
            messages.WARNING if lost else messages.SUCCESS,
        )  # fmt: skip


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(DataAdmin):
    """Passes over the shops' Admin APIs."""

    list_display = ["store", "condition", "orders_seen", "updated_from", "started", "last_error"]
    list_filter = [StoreFilter, "status"]
    list_select_related = ["store"]
    readonly_fields = ["condition"]
    fields = ["store", "condition", "orders_seen", "updated_from", "started_at", "finished_at", "last_error", "cursor"]

    @admin.display(description="status")
    def condition(self, run: ReconciliationRun) -> SafeString:
        return badge(RUN_TONES[run.status], run.get_status_display())

    @admin.display(description="started")
    def started(self, run: ReconciliationRun) -> SafeString:
        return when(run.started_at)


@admin.register(ImportRun)
class ImportRunAdmin(DataAdmin):
    """Imports of files, and the lines that they refused."""

    list_display = ["mapping", "store", "read", "written", "unchanged", "refused", "later", "as_of", "started"]
    list_filter = [StoreFilter, "mapping"]
    list_select_related = ["store"]
    readonly_fields = ["lines"]
    fields = [
        "store", "mapping", "source", "as_of", "read", "written", "unchanged", "refused", "later", "started_at",
        "finished_at", "lines",
    ]  # fmt: skip

    @admin.display(description="started")
    def started(self, run: ImportRun) -> SafeString:
        return when(run.started_at)

    @admin.display(description="refused lines")
    def lines(self, run: ImportRun) -> SafeString | str:
        if not run.problems:
            return "none"
        shown = [f"{one.get('file')}, line {one.get('line')}: {one.get('reason')}" for one in run.problems]
        return format_html("<pre>{}</pre>", "\n".join(shown))


@admin.register(DataRequest)
class DataRequestAdmin(ScopedAdmin, ReadOnlyAdmin):
    """What customers asked is kept about them. Closing a request says that the answer was handed over."""

    list_display = ["external_id", "store", "customer_external_id", "requested", "closed"]
    list_filter = [StoreFilter]
    list_select_related = ["store"]
    actions = ["close"]
    readonly_fields = ["answer"]
    fields = ["store", "external_id", "customer_external_id", "requested_at", "closed_at", "answer"]

    @admin.display(description="asked")
    def requested(self, request: DataRequest) -> SafeString:
        return when(request.requested_at)

    @admin.display(description="closed")
    def closed(self, request: DataRequest) -> SafeString:
        return when(request.closed_at)

    @admin.display(description="what is kept")
    def answer(self, request: DataRequest) -> SafeString | str:
        if not request.export:
            return "Cleared."
        return SafeString(render_to_string("core/facts.html", {"facts": facts(request.export)}))

    def has_close_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_datarequest")

    @admin.action(description="Close: the answer was handed over", permissions=["close"])
    def close(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            chosen = list(queryset.filter(closed_at=None).values_list("pk", flat=True))
            DataRequest.objects.filter(pk__in=chosen).update(closed_at=timezone.now())
            record_many(
                Entry(
                    scope="privacy", actor=user_of(request), action="data_request_closed", subject=f"data_request:{key}"
                )
                for key in chosen
            )
        self.message_user(request, f"{len(chosen)} requests are closed.")
