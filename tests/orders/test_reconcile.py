"""Reconciliation finds what no webhook told, page by page, through faults and restarts."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from apps.orders.intake.reconcile import FIRST_LOOK, OVERLAP, reconcile_store
from apps.orders.models import Fulfillment, Order, ReconciliationRun, Refund, RiskAssessment, Transaction
from apps.orders.shopify import AdminApi
from apps.orders.tasks import reconcile_all_stores, reconcile_one
from tests.orders.factories import NOW
from tests.support.admin_api import money, order_node

pytestmark = pytest.mark.django_db


def reconcile(store, now=NOW, **options):
    with AdminApi(store, sleep=lambda seconds: None) as api:
        return reconcile_store(store, now=now, api=api, **options)


def test_an_order_with_all_that_belongs_to_it(reachable, admin_shop):
    movement = {"id": "gid://shopify/OrderTransaction/41", "kind": "REFUND", "status": "SUCCESS",
                "amountSet": money("60.00"), "createdAt": "2026-03-05T12:00:00Z", "gateway": "card"}  # fmt: skip
    card = {"bin": "424242", "number": "•••• •••• •••• 4242", "company": "Visa"}
    admin_shop.add(
        order_node(
            1,
            displayFulfillmentStatus="PARTIALLY_FULFILLED",
            fulfillments=[{
                "id": "gid://shopify/Fulfillment/51", "status": "SUCCESS", "displayStatus": "DELIVERED",
                "createdAt": "2026-03-02T12:00:00Z", "updatedAt": "2026-03-06T12:00:00Z",
                "deliveredAt": "2026-03-04T12:00:00Z",
                "trackingInfo": [{"company": "UPS", "number": "1Z", "url": "https://example.com"}],
            }],
            refunds=[{
                "id": "gid://shopify/Refund/31", "createdAt": "2026-03-05T12:00:00Z", "note": "broken",
                "refundLineItems": {"nodes": [{"id": "gid://shopify/RefundLineItem/91", "quantity": 1,
                                               "subtotalSet": money("60.00"),
                                               "lineItem": {"id": "gid://shopify/LineItem/61", "title": "Lamp"}}]},
                "transactions": {"nodes": [movement]},
            }],
            transactions=[{**movement, "id": "gid://shopify/OrderTransaction/40", "kind": "SALE",
                           "amountSet": money("120.00"), "paymentDetails": card}],
            risk={"recommendation": "INVESTIGATE", "assessments": [
                {"riskLevel": "LOW", "provider": None, "facts": []},
                {"riskLevel": "HIGH", "provider": {"title": "Radar"}, "facts": [{"description": "Proxy used"}]}]},
        )
    )  # fmt: skip
    assert reconcile(reachable).status == "succeeded"

    order = Order.objects.get()
    assert (order.external_id, order.total, order.fulfillment_status) == ("1", Decimal(120), "partial")
    assert (order.shipping_method, order.customer.name, order.tags) == ("express", "Ada Example", ["vip"])
    assert order.payment_key
    assert order.ip_key
    assert order.address_key
    parcel = Fulfillment.objects.get()
    assert (parcel.status, parcel.delivered_at.isoformat()) == ("delivered", "2026-03-04T12:00:00+00:00")
    assert Refund.objects.get().amount == Decimal(60)
    assert Refund.objects.get().lines.get().order_line.external_id == "61"
    assert Transaction.objects.count() == 2
    risk = RiskAssessment.objects.get()
    assert (risk.level, risk.recommendation, risk.provider, risk.facts) == (
        "high",
        "investigate",
        "Radar",
        ["Proxy used"],
    )


def test_a_webhook_and_the_api_tell_of_the_same_order(reachable, admin_shop):
    from apps.orders.intake.process import process_due
    from tests.orders import shop
    from tests.orders.factories import WebhookDeliveryFactory

    WebhookDeliveryFactory(store=reachable, topic="orders/create", body=shop.order())
    process_due(now=NOW)
    before = Order.objects.values("external_id", "customer__external_id", "ip_key", "shipping_method").get()
    admin_shop.add(order_node(450_001_001, updated_at="2026-03-12T00:00:00Z",
                              customer={"id": "gid://shopify/Customer/7001", "updatedAt": "2026-03-12T00:00:00Z"}))  # fmt: skip
    reconcile(reachable)
    assert Order.objects.values("external_id", "customer__external_id", "ip_key", "shipping_method").get() == before
    assert Order.objects.get().lines.count() == 1


def test_the_first_pass_looks_sixty_days_back_and_the_next_overlaps(reachable, admin_shop):
    first = reconcile(reachable)
    assert first.updated_from == NOW - FIRST_LOOK
    second = reconcile(reachable, now=NOW + timedelta(hours=5))
    assert second.updated_from == NOW - OVERLAP


def test_pages_follow_each_other(reachable, admin_shop):
    admin_shop.add(*(order_node(number) for number in range(45)))
    run = reconcile(reachable)
    assert run.orders_seen == 45
    assert Order.objects.count() == 45
    assert [variables["after"] for _, variables in admin_shop.asked] == [None, "20", "40"]


def test_a_page_that_is_too_dear_is_made_smaller(reachable, admin_shop):
    admin_shop.add(*(order_node(number) for number in range(12)))
    admin_shop.most = 5
    assert reconcile(reachable).status == "succeeded"
    assert Order.objects.count() == 12
    assert [variables["first"] for _, variables in admin_shop.asked] == [20, 10, 5, 5, 5]


def test_killed_it_goes_on_where_it_was(reachable, admin_shop):
    admin_shop.add(*(order_node(number) for number in range(45)))
    pages = iter([True])

    def killed() -> bool:
        if next(pages, False):
            return True
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconcile(reachable, go_on=killed)
    assert Order.objects.count() == 20

    admin_shop.asked.clear()
    assert reconcile(reachable, now=NOW + timedelta(hours=1)).status == "succeeded"
    assert admin_shop.asked[0][1]["after"] == "20"
    assert Order.objects.count() == 45
    assert ReconciliationRun.objects.count() == 1


def test_out_of_time_it_goes_on_the_next_time(reachable, admin_shop):
    admin_shop.add(*(order_node(number) for number in range(25)))
    pages = iter([True, False])
    assert reconcile(reachable, go_on=lambda: next(pages)).status == "running"
    assert reconcile(reachable).status == "succeeded"


def test_a_shop_that_is_down_is_asked_again(reachable, admin_shop):
    admin_shop.add(order_node(1))
    admin_shop.faults = [503] * 4
    run = reconcile(reachable)
    assert (run.status, run.last_error) == ("running", "shopify answered 503")
    assert reconcile(reachable).status == "succeeded"
    assert Order.objects.count() == 1


def test_a_refusal_ends_the_pass_and_says_why(reachable, admin_shop):
    reachable.api_token = "wrong"
    run = reconcile(reachable)
    assert (run.status, run.last_error) == ("failed", "shopify answered 401")


def test_an_order_that_cannot_be_read_stops_no_other(reachable, admin_shop):
    admin_shop.add(order_node(1, totalPriceSet=None), order_node(2))
    run = reconcile(reachable)
    assert (run.status, run.last_error) == ("succeeded", "1 orders could not be read.")
    assert Order.objects.get().external_id == "2"


def test_it_works_through_throttling(reachable, admin_shop):
    admin_shop.add(*(order_node(number) for number in range(60)))
    admin_shop.maximum = admin_shop.points = 15.0
    admin_shop.restore_rate = 200.0
    with AdminApi(reachable) as api:
        assert reconcile_store(reachable, now=NOW, api=api).status == "succeeded"
    assert Order.objects.count() == 60


@pytest.mark.django_db(transaction=True)
def test_one_process_at_a_time(reachable, admin_shop):
    import psycopg

    from apps.orders.intake.reconcile import _LOCK

    settings = connection.get_connection_params()
    with psycopg.connect(**{key: settings[key] for key in ("dbname", "host", "user") if key in settings}) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", [_LOCK, reachable.pk])
        assert reconcile(reachable) is None
    assert reconcile(reachable).status == "succeeded"


def test_the_tasks(reachable, admin_shop, monkeypatch):
    admin_shop.add(order_node(1))
    asked = []
    monkeypatch.setattr(reconcile_one, "delay", asked.append)
    assert reconcile_all_stores() == 1
    assert reconcile_one(asked[0]) == "succeeded"


def test_an_edited_order_is_asked_for(reachable, admin_shop):
    from apps.orders.intake.process import process_due
    from tests.orders import shop
    from tests.orders.factories import WebhookDeliveryFactory

    WebhookDeliveryFactory(store=reachable, topic="orders/create", body=shop.order())
    process_due(now=NOW)
    admin_shop.add(order_node(450_001_001, updated_at="2026-03-12T00:00:00Z", totalPriceSet=money("99.00")))
    WebhookDeliveryFactory(
        store=reachable, topic="orders/edited", body={"order_edit": {"id": 1, "order_id": 450_001_001}}
    )
    risk = {"order_id": 450_001_001, "risk_level": "high"}
    admin_shop.orders["gid://shopify/Order/450001001"]["risk"] = {
        "recommendation": "CANCEL", "assessments": [{"riskLevel": "HIGH", "facts": []}],
    }  # fmt: skip
    WebhookDeliveryFactory(store=reachable, topic="orders/risk_assessment_changed", body=risk)
    process_due(now=NOW)
    assert Order.objects.get().total == Decimal(99)
    assert RiskAssessment.objects.get().recommendation == "cancel"
