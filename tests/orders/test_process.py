"""Kept webhooks become rows and cards, whatever their order, and none is lost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DataError, OperationalError

from apps.actions.models import ActionCard
from apps.orders.intake import process
from apps.orders.intake.process import MAX_ATTEMPTS, backoff, process_due, replay
from apps.orders.intake.topics import READERS
from apps.orders.models import (
    Customer,
    Dispute,
    Fulfillment,
    Order,
    OrderLine,
    Refund,
    RiskAssessment,
    Transaction,
    WebhookDelivery,
)
from tests.orders import shop
from tests.orders.factories import NOW, StoreFactory, WebhookDeliveryFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def store():
    return StoreFactory()


def deliver(store, topic, body, *, now=NOW, **fields) -> WebhookDelivery:
    """Keep a webhook and process what is due."""
    made = WebhookDeliveryFactory(store=store, topic=topic, body=body, received_at=now, next_attempt_at=now, **fields)
    process_due(now=now)
    made.refresh_from_db()
    return made


def test_an_order_with_all_that_belongs_to_it(store):
    document = shop.order(fulfillments=[shop.parcel()], refunds=[shop.refund()])
    assert deliver(store, "orders/create", document).status == "done"

    order = Order.objects.get()
    assert (order.number, order.total, order.currency, order.shipping_method) == (
        "#1001",
        Decimal(120),
        "USD",
        "express",
    )
    assert (order.financial_status, order.fulfillment_status) == ("paid", "unfulfilled")
    assert order.tags == ["vip", "gift"]
    assert order.address_key
    assert order.ip_key
    assert "203.0.113.9" not in str(vars(order))
    assert order.customer.name == "Ada Example"
    assert OrderLine.objects.get().product.title == "Lamp"
    assert Fulfillment.objects.get().method == "express"
    assert Refund.objects.get().amount == Decimal(60)
    assert Transaction.objects.get().refund == Refund.objects.get()


def test_the_same_news_twice_changes_nothing(store):
    deliver(store, "orders/create", shop.order())
    before = Order.objects.values().get()
    deliver(store, "orders/create", shop.order(), now=NOW + timedelta(minutes=1))
    assert Order.objects.values().get() == before


def test_older_news_does_not_overwrite_newer(store):
    deliver(store, "orders/updated", shop.order(at=NOW, fulfillment_status="fulfilled"))
    late = shop.order(at=NOW - timedelta(hours=1), line_items=[{"id": 61, "title": "Old", "quantity": 9, "price": "1"}])
    deliver(store, "orders/create", late)
    assert Order.objects.get().fulfillment_status == "fulfilled"
    assert OrderLine.objects.get().title == "Lamp"


def test_what_belongs_to_an_unknown_order_waits_for_it(store):
    waiting = deliver(store, "refunds/create", shop.refund())
    assert waiting.status == "pending"
    assert "not known yet" in waiting.last_error
    assert waiting.next_attempt_at == NOW + backoff(1)

    deliver(store, "orders/create", shop.order())
    process_due(now=NOW + backoff(1))
    waiting.refresh_from_db()
    assert waiting.status == "done"
    assert Refund.objects.count() == 1


def test_an_order_that_never_comes_ends_in_the_dead_letters(store):
    waiting = deliver(store, "refunds/create", shop.refund())
    now = NOW
    for _ in range(MAX_ATTEMPTS):
        now += timedelta(hours=2)
        process_due(now=now)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.attempts) == ("dead", MAX_ATTEMPTS)

    deliver(store, "orders/create", shop.order(), now=now)
    assert replay([waiting.pk], now=now) == 1
    process_due(now=now)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.last_error) == ("done", "")


def test_what_cannot_be_read_is_dead_at_once_and_stops_no_other(store):
    bad = WebhookDeliveryFactory(store=store, topic="orders/create", body={**shop.order(1), "total_price": "a lot"})
    good = deliver(store, "orders/create", shop.order(2))
    bad.refresh_from_db()
    assert (bad.status, good.status) == ("dead", "done")
    assert bad.last_error == "The document cannot be read: total_price is not an amount."


def test_what_the_database_refuses_stops_no_other(store, monkeypatch):
    real = process.apply

    def refuse(store, news, *, now):
        if any("450000001" in one.orders for one in news):
            raise DataError("no")
        return real(store, news, now=now)

    monkeypatch.setattr(process, "apply", refuse)
    bad = WebhookDeliveryFactory(store=store, topic="orders/create", body=shop.order(1))
    good = deliver(store, "orders/create", shop.order(2))
    bad.refresh_from_db()
    assert (bad.status, good.status) == ("dead", "done")
    assert list(Order.objects.values_list("number", flat=True)) == ["#2"]


def test_a_deadlock_is_tried_again(store, monkeypatch):
    def deadlock(*_, **__):
        raise OperationalError("deadlock detected")

    with monkeypatch.context() as patched:
        patched.setattr(process, "apply", deadlock)
        delivery = deliver(store, "orders/create", shop.order())
    assert delivery.status == "pending"
    process_due(now=NOW + backoff(1))
    delivery.refresh_from_db()
    assert delivery.status == "done"


def test_a_reader_that_fails_unexpectedly_stops_no_other(store, monkeypatch):
    monkeypatch.setitem(READERS, "customers/create", lambda *_: 1 / 0)
    bad = WebhookDeliveryFactory(store=store, topic="customers/create", body={"id": 1})
    assert deliver(store, "orders/create", shop.order()).status == "done"
    bad.refresh_from_db()
    assert bad.status == "dead"


def test_a_worker_that_died_loses_nothing(store, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(process, "apply", die)
        with pytest.raises(KeyboardInterrupt):
            deliver(store, "orders/create", shop.order())
    assert process_due(now=NOW) == 0  # another worker might still be at it
    assert process_due(now=NOW + process.LEASE) == 1
    assert WebhookDelivery.objects.get().status == "done"


def test_a_delivery_that_kills_workers_is_given_up(store):
    delivery = deliver(store, "orders/create", shop.order(), attempts=MAX_ATTEMPTS)
    assert delivery.status == "dead"
    assert not Order.objects.exists()


def test_a_cancellation(store):
    deliver(store, "orders/create", shop.order())
    deliver(store, "orders/cancelled", shop.order(at=NOW + timedelta(hours=1), cancelled_at=NOW.isoformat()))
    assert Order.objects.get().cancelled_at == NOW


def test_a_deleted_order_does_not_come_back(store):
    deliver(store, "orders/delete", {"id": 450_001_001})
    deliver(store, "orders/create", shop.order())
    order = Order.objects.get()
    assert order.deleted_at == NOW
    assert order.number == "#1001"


@pytest.mark.parametrize("first", ["parcel", "event"])
def test_a_parcel_and_its_carriers_report_in_any_order(store, first):
    deliver(store, "orders/create", shop.order())
    arrived = {
        "id": 1,
        "order_id": 450_001_001,
        "fulfillment_id": 51,
        "status": "delivered",
        "happened_at": NOW.isoformat(),
    }
    news = [("fulfillments/create", shop.parcel(at=NOW - timedelta(days=2))), ("fulfillment_events/create", arrived)]
    for topic, body in news if first == "parcel" else reversed(news):
        deliver(store, topic, body)
    process_due(now=NOW + timedelta(minutes=1))
    parcel = Fulfillment.objects.get()
    assert (parcel.status, parcel.delivered_at) == ("delivered", NOW)


def test_an_arrived_parcel_stays_arrived(store):
    deliver(store, "orders/create", shop.order())
    deliver(store, "fulfillments/update", shop.parcel(shipment_status="delivered"))
    deliver(store, "fulfillments/update", shop.parcel(at=NOW + timedelta(hours=1), shipment_status="in_transit"))
    assert Fulfillment.objects.get().status == "delivered"


def test_a_refund_whose_money_moved_later(store):
    deliver(store, "orders/create", shop.order())
    deliver(store, "refunds/create", shop.refund())
    deliver(store, "refunds/create", shop.refund(status="pending"))
    assert Refund.objects.get().amount == Decimal(60)
    assert Refund.objects.money_moved().count() == 1


def test_a_failed_payment_with_its_card(store):
    deliver(store, "orders/create", shop.order())
    payment = {
        "id": 42, "order_id": 450_001_001, "kind": "sale", "status": "failure", "amount": "120.00", "currency": "USD",
        "created_at": NOW.isoformat(), "error_code": "card_declined",
        "payment_details": {"credit_card_bin": "424242", "credit_card_number": "•••• 4242", "credit_card_company": "Visa"},
    }  # fmt: skip
    deliver(store, "order_transactions/create", payment)
    assert Transaction.objects.get().status == "failure"
    assert Order.objects.get().payment_key


def test_a_dispute(store):
    deliver(store, "orders/create", shop.order())
    dispute = {"id": 9, "order_id": 450_001_001, "type": "chargeback", "amount": "12.00", "currency": "USD",
               "reason": "fraudulent", "status": "needs_response", "initiated_at": NOW.isoformat()}  # fmt: skip
    deliver(store, "disputes/create", dispute)
    deliver(store, "disputes/update", {**dispute, "status": "won", "finalized_on": NOW.isoformat()})
    deliver(store, "disputes/update", dispute)
    assert Dispute.objects.get().status == "won"
    assert Dispute.objects.get().order == Order.objects.get()


def test_the_platforms_verdict(store):
    deliver(store, "orders/create", shop.order())
    news = {"admin_graphql_api_order_id": "gid://shopify/Order/450001001", "risk_level": "HIGH", "provider_title": "Radar",
            "created_at": NOW.isoformat()}  # fmt: skip
    deliver(store, "orders/risk_assessment_changed", news)
    deliver(
        store, "orders/risk_assessment_changed", {**news, "risk_level": "LOW", "created_at": "2026-03-01T00:00:00Z"}
    )
    assert RiskAssessment.objects.get().level == "high"


def test_a_customer(store):
    deliver(store, "customers/create", {"id": 7, "first_name": "Bo", "updated_at": NOW.isoformat()})
    assert Customer.objects.get().name == "Bo"


def test_an_event_becomes_a_card(store):
    old = shop.order(at=NOW, created_at=(NOW - timedelta(days=6)).isoformat())
    deliver(store, "orders/create", old)
    card = ActionCard.objects.get(rule="order-ageing")
    assert card.subject == f"order:{Order.objects.get().pk}"
    assert card.scope == store.scope


def test_a_batch_is_judged_once(store, monkeypatch):
    calls = []
    monkeypatch.setattr(process, "run_rules", lambda **given: calls.append(given))
    for number in range(5):
        WebhookDeliveryFactory(store=store, topic="orders/create", body=shop.order(number))
    process_due(now=NOW)
    assert len(calls) == 1
    assert len(calls[0]["subjects"].ids("order")) == 5
    assert calls[0]["events"] == {"order.created"}


def test_workers_share_what_is_due(store, django_assert_num_queries):
    assert process_due(now=NOW) == 0
    WebhookDeliveryFactory(store=store, topic="orders/create", body=shop.order(), next_attempt_at=NOW + timedelta(1))
    assert process_due(now=NOW) == 0


def test_what_is_no_web_address_is_not_kept_as_a_link(store):
    deliver(store, "orders/create", shop.order())
    deliver(store, "fulfillments/create", shop.parcel(tracking_url="javascript:alert(1)"))
    assert Fulfillment.objects.get().tracking_url == ""
