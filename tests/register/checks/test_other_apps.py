"""Checks of what the other apps keep, and of input, models, mails and resources: each passes and fails."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from auditlog.registry import auditlog
from django.contrib import admin
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from apps.actions.models import RuleRun
from apps.actions.rules import rules
from apps.actions.versions import current_version
from apps.core import idempotency
from apps.core.models import Delivery, Notification, Scope
from apps.core.roles import Role
from apps.escalation import reports
from apps.escalation.models import Report, TicketMessage
from apps.orders.models import DataRequest, Order, ReconciliationRun, RefundLine
from apps.register.checks import resource_headroom
from apps.register.checks.resource_headroom import Resource
from apps.register.probing import visitor
from apps.subscriptions.models import RecalculationRun, RenewalModel, RiskScore
from config import urls as site_urls
from tests.core.factories import UserFactory, person
from tests.escalation.factories import raised, ticket
from tests.orders.factories import (
    OrderFactory,
    OrderLineFactory,
    RefundFactory,
    StoreFactory,
    TransactionFactory,
    WebhookDeliveryFactory,
)
from tests.register.looking import NOON, look
from tests.subscriptions.factories import BalanceFactory, RenewalAttemptFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def order(**fields: Any) -> Order:
    made: Order = OrderFactory(synced_at=NOON - HOUR, **fields)
    OrderLineFactory(order=made, quantity=2, price=made.total / 2)
    return made


def test_orders_consistent_passes() -> None:
    made = order(financial_status="refunded")
    TransactionFactory(order=made, kind="sale", status="success", amount=100, currency="USD")
    refund = RefundFactory(order=made, amount=100)
    RefundLine.objects.create(
        refund=refund, external_id="1", order_line=made.lines.get(), quantity=2, amount=Decimal(100)
    )
    found = look("orders-consistent")
    assert (found.outcome, found.facts) == ("pass", {"orders": 1, "contradictions": {}})


def too_much_back(made: Order) -> None:
    RefundFactory(order=made, amount=60)
    RefundFactory(order=made, amount=60)


def other_currency(made: Order) -> None:
    RefundFactory(order=made, amount=1, currency="EUR")


def charged_twice(made: Order) -> None:
    for _ in range(2):
        TransactionFactory(order=made, kind="sale", status="success", amount=100, currency="USD")


def refunded_alone(made: Order) -> None:
    Order.objects.filter(pk=made.pk).update(financial_status="refunded")


def more_lines_back(made: Order) -> None:
    refund = RefundFactory(order=made, amount=90)
    RefundLine.objects.create(refund=refund, external_id="1", order_line=made.lines.get(), quantity=3, amount=90)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (too_much_back, "paid back more than the total"),
        (other_currency, "refunds of another store or currency"),
        (charged_twice, "charged more than the total"),
        (refunded_alone, "refunded without a refund"),
        (more_lines_back, "more given back than was ordered"),
    ],
)
def test_orders_consistent_fails(spoil: Any, words: str) -> None:
    made = order()
    spoil(made)
    found = look("orders-consistent")
    assert (found.outcome, found.summary) == ("fail", f"1 order: {words}.")
    assert found.facts["contradictions"][words] == {"orders": 1, "ids": [made.pk]}


def test_orders_consistent_warns_of_orders_without_lines_and_forgets_deleted_ones() -> None:
    made = OrderFactory(synced_at=NOON - HOUR)
    assert look("orders-consistent").summary == "1 order: no lines."
    Order.objects.filter(pk=made.pk).update(deleted_at=NOON)
    assert look("orders-consistent").outcome == "pass"


def test_webhooks_processed() -> None:
    store = StoreFactory(api_token="shpat_1")
    done = ReconciliationRun.objects.create(
        store=store, status="succeeded", updated_from=NOON - DAY, started_at=NOON - HOUR, finished_at=NOON - HOUR
    )
    assert look("webhooks-processed").outcome == "pass"
    WebhookDeliveryFactory(store=store, status="dead", received_at=NOON - DAY)
    assert look("webhooks-processed").outcome == "warn"
    WebhookDeliveryFactory(store=store, status="pending", received_at=NOON - HOUR)
    ReconciliationRun.objects.filter(pk=done.pk).update(finished_at=NOON - 5 * HOUR)
    assert look("webhooks-processed").summary.startswith(
        "1 webhooks have waited for more than 10 minutes. 1 stores were not reconciled for 4 hours."
    )


def test_payload_retention() -> None:
    WebhookDeliveryFactory(status="done", received_at=NOON - 8 * DAY, processed_at=NOON - 8 * DAY, body={"a": 1})
    assert look("payload-retention").outcome == "pass"
    WebhookDeliveryFactory(status="done", received_at=NOON - 9 * DAY, processed_at=NOON - 9 * DAY, body={"a": 1})
    WebhookDeliveryFactory(status="done", received_at=NOON - 9 * DAY, processed_at=NOON - 9 * DAY, body={})
    DataRequest.objects.create(
        store=StoreFactory(), external_id="1", customer_external_id="2", requested_at=NOON - 50 * DAY,
        closed_at=NOON - 40 * DAY, export={"name": "Ada"},
    )  # fmt: skip
    found = look("payload-retention")
    assert found.outcome == "fail"
    assert found.facts["tooOld"] == {"texts of webhooks": 1, "webhooks": 0, "answers to data requests": 1}


def judged(**ages: timedelta) -> None:
    """Every rule judged everything a moment ago, or as long ago as is said."""
    for rule in rules:
        at = NOON - ages.get(rule.slug.replace("-", "_"), timedelta(minutes=1))
        RuleRun.objects.create(
            rule=rule.slug, version=current_version(rule), trigger="schedule", status="succeeded",
            as_of=at, started_at=at, finished_at=at,
        )  # fmt: skip


def test_monitoring_alive_passes() -> None:
    judged()
    person(Role.OPERATOR)
    assert look("monitoring-alive").outcome == "pass"


def test_monitoring_alive_fails_by_a_silent_rule_a_failing_one_and_without_people() -> None:
    judged(order_ageing=2 * HOUR)
    carrier = rules["carrier-delay"]
    RuleRun.objects.create(
        rule=carrier.slug, version=current_version(carrier), trigger="schedule", status="failed", as_of=NOON,
        started_at=NOON, finished_at=NOON,
    )  # fmt: skip
    words = look("monitoring-alive").summary
    assert "Not judged in time: order-ageing." in words
    assert "Failed at their last run: carrier-delay." in words
    assert "No operator or administrator" in words


def test_deadlines_swept() -> None:
    flag = raised()
    deadline = flag.clocks.order_by("next_deadline_at").first().next_deadline_at
    assert look("deadlines-swept", now=deadline - HOUR).outcome == "pass"
    missed = look("deadlines-swept", now=deadline + HOUR)
    assert missed.outcome == "fail"
    assert "1 deadlines passed without an announcement" in missed.summary
    Report.objects.create(source="x:1", customer="c", text="Help", at=NOON - HOUR)
    assert "1 messages wait" in look("deadlines-swept").summary


def test_repeated_requests_pass_and_leave_no_ticket() -> None:
    found = look("repeated-requests")
    assert (found.outcome, found.facts) == ("pass", {"answers": [201, 201, 409], "made": 1})


def test_repeated_requests_fail_where_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_claim", lambda row: True)
    found = look("repeated-requests")
    assert found.outcome == "fail"
    assert "The request was done 2 times." in found.summary


def test_messages_redacted_pass() -> None:
    TicketMessage.objects.create(ticket=ticket(), body="My card is [card number]", kind="customer", created_at=NOON)
    found = look("messages-redacted")
    assert (found.outcome, found.facts["messages of tickets"]) == ("pass", {"read": 1, "notMasked": 0})


def test_messages_redacted_fail_at_the_door_and_in_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    TicketMessage.objects.create(ticket=ticket(), body="4111 1111 1111 1111", kind="customer", created_at=NOON)
    assert look("messages-redacted").summary.startswith("1 of the newest 1 messages of tickets hold")

    class Open:
        def __init__(self, text: str) -> None:
            self.text, self.masked = text, []

    monkeypatch.setattr(reports, "redact", Open)
    assert "A card number was kept as it was written." in look("messages-redacted").summary


def test_attempts_consistent_passes() -> None:
    subscription = SubscriptionFactory()
    RenewalAttemptFactory(subscription=subscription, success=False, number=1)
    RenewalAttemptFactory(subscription=subscription, success=True, number=2)
    BalanceFactory(subscription=subscription)
    found = look("attempts-consistent")
    assert (found.outcome, found.facts) == ("pass", {"attempts": 2, "contradictions": {}})


@pytest.mark.parametrize(
    ("attempts", "words"),
    [
        ([{"number": 2}], "attempts without the one before"),
        ([{"number": 1}, {"number": 2, "success": False}], "charged again after it was paid"),
        ([{"attempt_date": NOON + DAY}], "attempts from the future"),
    ],
)
def test_attempts_consistent_fails(attempts: list[dict[str, Any]], words: str) -> None:
    subscription = SubscriptionFactory()
    for fields in attempts:
        RenewalAttemptFactory(subscription=subscription, **fields)
    found = look("attempts-consistent")
    assert found.outcome == "fail"
    assert found.facts["contradictions"][words]["ids"] == [str(subscription.pk)]


def test_attempts_consistent_warns_of_balances_in_another_currency() -> None:
    BalanceFactory(currency="EUR")
    assert look("attempts-consistent").outcome == "warn"


def scored(hours: float) -> None:
    subscription = SubscriptionFactory()
    RiskScore.objects.create(
        subscription=subscription, user=subscription.owner, risk_level="LOW", last_calculated_at=NOON, rule_version="1"
    )
    RecalculationRun.objects.create(
        trigger="schedule", status="finished", as_of=NOON, batch_size=100, finished_at=NOON - timedelta(hours=hours)
    )


def test_scores_fresh(settings: Any, tmp_path: Path) -> None:
    assert look("scores-fresh").outcome == "pass"  # nothing is to be scored
    scored(hours=3)
    assert look("scores-fresh").outcome == "pass"
    assert look("scores-fresh", now=NOON + 2 * DAY).summary == "All scores were last calculated 51 hours ago."
    RiskScore.objects.update(degraded=True)
    assert "1 of 1 scores are incomplete." in look("scores-fresh").summary
    settings.RENEWAL_MODEL_DIR = str(tmp_path)
    RenewalModel.objects.create(
        version=1, file="renewal-1-abcdefabcdef.json", sha256="0" * 64, trained_at=NOON, observed_until=NOON, rows=1,
        active=True,
    )  # fmt: skip
    assert "The model v1 cannot be used" in look("scores-fresh").summary


def test_hostile_input_passes_over_the_whole_api_and_all_lists() -> None:
    found = look("hostile-input", seconds=60)
    assert (found.outcome, found.facts["bad"]) == ("pass", [])
    assert found.facts["asked"] > 80


class Gullible(admin.ModelAdmin):
    """A list whose search gives back what was sought, unescaped, and breaks on a quote."""

    search_fields = ["name"]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        sought = request.GET.get("q", "")
        if "'" in sought:
            raise RuntimeError("syntax error")
        return HttpResponse(f"Nothing found for {sought}")


class Urls:
    """The site's addresses, with a list that is not well made."""

    urlpatterns = [
        path("admin/core/scope/", admin.site.admin_view(Gullible(Scope, admin.site).changelist_view)),
        *site_urls.urlpatterns,
    ]
    handler400, handler403 = site_urls.handler400, site_urls.handler403
    handler404, handler500 = site_urls.handler404, site_urls.handler500


def test_hostile_input_fails_by_a_list_that_breaks_and_echoes(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.register.checks.hostile_input._bodies", lambda guest: iter(()))
    settings.ROOT_URLCONF = Urls
    found = look("hostile-input", seconds=60)
    assert found.outcome == "fail"
    assert "GET /admin/core/scope/ broke (500)" in found.facts["bad"]
    assert "GET /admin/core/scope/ gives a script back" in found.facts["bad"]


def test_a_visitor_has_a_token_and_no_password() -> None:
    guest = visitor()
    assert guest.person.is_superuser
    assert not guest.person.has_usable_password()
    assert guest.headers["Authorization"].startswith("Bearer rd_")


def test_models_in_sync_passes() -> None:
    found = look("models-in-sync")
    assert (found.outcome, found.facts["problems"]) == ("pass", [])


def test_models_in_sync_fails_where_a_column_or_a_migration_is_missing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_scope DROP COLUMN judged_as_of")
        cursor.execute("DELETE FROM django_migrations WHERE app = 'core' AND name = '0006_judged_as_of'")
    found = look("models-in-sync")
    assert found.outcome == "fail"
    assert "core.0006_judged_as_of" in found.summary
    assert found.facts["missingColumns"] == ["core_scope.judged_as_of"]


def mail(status: str, *, age: timedelta) -> None:
    news = Notification.objects.create(
        recipient=UserFactory(), kind="tickets", title="News", body="-", dedupe_key="1", created_at=NOON - age
    )
    Delivery.objects.create(notification=news, channel="email", status=status)


@pytest.mark.parametrize(
    ("status", "age", "outcome"),
    [
        ("sent", HOUR, "pass"),
        ("failed", HOUR, "fail"),
        ("failed", 2 * DAY, "pass"),
        ("pending", HOUR, "fail"),
        ("pending", timedelta(minutes=1), "pass"),
    ],
)
def test_mails_go_out(status: str, age: timedelta, outcome: str) -> None:
    mail(status, age=age)
    assert look("mails-go-out").outcome == outcome


def test_resource_headroom_measures_what_is_there() -> None:
    found = look("resource-headroom", warn=0.9999, fail=1, queue=1_000_000)
    assert found.facts["resources"]["connections of the database"]["used"] >= 1
    assert found.facts["resources"]["disk"]["limit"] > 10**9


@pytest.mark.parametrize(("used", "outcome"), [(79, "pass"), (80, "warn"), (95, "fail")])
def test_resource_headroom_judges_by_share(monkeypatch: pytest.MonkeyPatch, used: int, outcome: str) -> None:
    monkeypatch.setattr(resource_headroom, "measure", lambda: iter([Resource("disk", used, 100)]))
    assert look("resource-headroom", queue=1_000_000).outcome == outcome


def test_audit_trail_passes() -> None:
    found = look("audit-trail")
    assert (found.outcome, found.facts["withoutTrail"]) == ("pass", [])


def test_audit_trail_fails_without_registration_and_without_its_triggers() -> None:
    options = auditlog._registry[Scope]
    auditlog.unregister(Scope)
    try:
        words = look("audit-trail").summary
    finally:
        auditlog._registry[Scope] = options
        auditlog._connect_signals(Scope)
    assert "Edited without a trail: core.Scope." in words
    assert "A change left no trace." in words
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE auditlog_logentry DISABLE TRIGGER USER")
    assert look("audit-trail").summary == "An entry of the trail could be changed."
